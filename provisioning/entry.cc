#include "provisioning/entry.h"

#include <algorithm>
#include <utility>

#include "engine/base/text.h"

namespace imapult::provisioning {

const Attribute* Entry::find(std::string_view key) const {
    for (const auto& attribute : attributes) {
        if (attribute.key == key) return &attribute;
    }
    return nullptr;
}

Attribute* Entry::find(std::string_view key) {
    return const_cast<Attribute*>(std::as_const(*this).find(key));
}

std::string_view Entry::first(std::string_view key) const {
    const auto* attribute = find(key);
    return attribute && !attribute->values.empty() ? std::string_view(attribute->values.front())
                                                   : std::string_view();
}

const std::vector<std::string>& Entry::values(std::string_view key) const {
    static const std::vector<std::string> none;
    const auto* attribute = find(key);
    return attribute ? attribute->values : none;
}

bool Entry::has_value(std::string_view key, std::string_view value) const {
    return std::ranges::any_of(
        values(key), [&](const auto& candidate) { return equal_ignoring_case(candidate, value); });
}

void Entry::add(std::string_view name, std::string value) {
    // The values of one attribute usually stand together.
    if (!attributes.empty() && attributes.back().name == name) {
        attributes.back().values.push_back(std::move(value));
        return;
    }
    auto key = to_lower(name);
    if (auto* attribute = find(key)) {
        attribute->values.push_back(std::move(value));
        return;
    }
    auto& attribute = attributes.emplace_back();
    attribute.name = name;
    attribute.key = std::move(key);
    attribute.values.push_back(std::move(value));
}

void Entry::add_unique(std::string_view name, std::string value) {
    const auto& have = values(to_lower(name));
    if (std::ranges::find(have, value) == have.end()) add(name, std::move(value));
}

void Entry::set(std::string_view name, std::string value) {
    std::vector<std::string> values;
    if (!value.empty()) values.push_back(std::move(value));
    set_values(name, std::move(values));
}

void Entry::set_values(std::string_view name, std::vector<std::string> values) {
    auto key = to_lower(name);
    if (values.empty()) return remove(key);
    if (auto* attribute = find(key)) {
        attribute->values = std::move(values);
        return;
    }
    attributes.push_back({std::string(name), std::move(key), std::move(values)});
}

void Entry::remove(std::string_view key) {
    std::erase_if(attributes, [&](const auto& attribute) { return attribute.key == key; });
}

}  // namespace imapult::provisioning
