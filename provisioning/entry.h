#pragma once
// A directory entry as all parts of provisioning hand it around, and the place it came from.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace imapult::provisioning {

/// Where an entry stands in the input set. `offset` and `bytes` are raw octets of the file (before
/// UTF-16 is decoded), so that the entry can be read again without the rest; `line` counts from 1.
struct Location {
    std::uint32_t file = 0;
    std::uint32_t line = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

/// One attribute with its values in the order of the file. `name` keeps the writing of the source
/// with its options ("cn;lang-de"); `key` is the name in lower case, which all look-ups use.
struct Attribute {
    std::string name;
    std::string key;
    std::vector<std::string> values;
};

/// A DN with its attributes. Values are raw octets: nothing promises that they are UTF-8.
struct Entry {
    std::string dn;
    std::vector<Attribute> attributes;

    [[nodiscard]] const Attribute* find(std::string_view key) const;
    [[nodiscard]] Attribute* find(std::string_view key);
    /// First value, or an empty string.
    [[nodiscard]] std::string_view first(std::string_view key) const;
    /// All values; empty if the attribute is not there.
    [[nodiscard]] const std::vector<std::string>& values(std::string_view key) const;
    [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
    /// True if a value equals `value`, ASCII case ignored (object classes, booleans).
    [[nodiscard]] bool has_value(std::string_view key, std::string_view value) const;
    [[nodiscard]] bool has_class(std::string_view name) const {
        return has_value("objectclass", name);
    }
    void add(std::string_view name, std::string value);
    /// Adds unless an equal value (octet by octet) is there.
    void add_unique(std::string_view name, std::string value);
    /// Replaces all values; an empty value removes the attribute.
    void set(std::string_view name, std::string value);
    void set_values(std::string_view name, std::vector<std::string> values);
    void remove(std::string_view key);
};

}  // namespace imapult::provisioning
