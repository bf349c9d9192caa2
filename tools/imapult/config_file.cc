#include "tools/imapult/config_file.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "engine/base/text.h"

namespace imapult::program {
namespace {

constexpr std::uintmax_t kConfigBytesMax = 1024UL * 1024;
constexpr std::string_view kOption = "--config";
constexpr std::size_t kErrorsMax = 20;

/// The value of the last `--config`; nothing if it is not there.
std::optional<std::string> config_path(const std::vector<std::string>& arguments) {
    std::optional<std::string> path;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (argument == "--") break;
        if (argument == kOption && i + 1 < arguments.size()) path = arguments[i + 1];
        if (argument.starts_with(kOption) && argument.substr(kOption.size()).starts_with("=")) {
            path = argument.substr(kOption.size() + 1);
        }
    }
    return path;
}

bool takes_config(const CLI::App& command) {
    return command.get_option_no_throw(std::string(kOption)) != nullptr;
}

class Reading {
  public:
    Reading(std::string path, const std::vector<std::string>& arguments, const CLI::App& command,
            const CLI::App& app)
        : path_(std::move(path)), arguments_(arguments), command_(command), app_(app) {}

    std::expected<ConfigArguments, std::string> run() {
        std::error_code failed;
        const auto size = std::filesystem::file_size(path_, failed);
        if (failed) {
            return std::unexpected(
                fmt::format("{}: {}: {}", kOption, printable(path_), failed.message()));
        }
        if (size > kConfigBytesMax) {
            return std::unexpected(
                fmt::format("{}: {} is larger than 1 MiB", kOption, printable(path_)));
        }
        try {
            const toml::table table = toml::parse_file(path_);
            entries(table);
        } catch (const toml::parse_error& error) {
            // Its description may quote the line, which may hold a secret put there by mistake.
            return std::unexpected(fmt::format("{}: this is not TOML (key = \"value\", one a line)",
                                               place(error.source())));
        }
        if (!errors_.empty()) return std::unexpected(errors_);
        return std::move(result_);
    }

  private:
    [[nodiscard]] std::string place(const toml::source_region& region) const {
        return fmt::format("{}:{}", printable(path_), region.begin.line);
    }
    void error(const toml::node& node, const std::string& text) {
        if (++error_count_ > kErrorsMax) return;
        errors_ += fmt::format("{}{}: {}", errors_.empty() ? "" : "\n", place(node.source()), text);
    }

    void entries(const toml::table& table) {
        // The table is sorted by key; people read errors and values in the order of the file.
        std::vector<std::pair<std::string, const toml::node*>> nodes;
        for (const auto& [key, node] : table) nodes.emplace_back(std::string(key.str()), &node);
        std::ranges::sort(nodes, {}, [](const auto& entry) {
            const toml::source_position at = entry.second->source().begin;
            return std::pair(at.line, at.column);
        });
        for (const auto& [key, node] : nodes) entry(key, *node);
    }

    void entry(const std::string& key, const toml::node& node) {
        const std::string name = printable(key, 64);
        if (node.is_table()) {
            return error(node, fmt::format("[{}]: there are no sections; write the long options as "
                                           "they are, such as source-user = \"…\"",
                                           name));
        }
        const std::string option_name = "--" + key;
        const CLI::Option* option = key == "config" || key == "help" || key.starts_with("-")
                                        ? nullptr
                                        : command_.get_option_no_throw(option_name);
        if (option == nullptr) {
            if (!known_elsewhere(key)) error(node, fmt::format("{} is not an option", name));
            return;
        }
        if (given(*option)) return;
        result_.entries.push_back({option_name, place(node.source())});
        if (const toml::array* array = node.as_array()) {
            if (option->get_multi_option_policy() != CLI::MultiOptionPolicy::TakeAll) {
                return error(node, name + " takes one value");
            }
            for (const toml::node& element : *array) value(name, *option, option_name, element);
        } else {
            value(name, *option, option_name, node);
        }
    }

    void value(const std::string& name, const CLI::Option& option, const std::string& option_name,
               const toml::node& node) {
        const bool is_flag = option.get_expected_max() == 0;
        if (is_flag != node.is_boolean()) {
            return error(node,
                         name + (is_flag ? " takes true or false" : " takes no true or false"));
        }
        if (is_flag) {
            if (node.as_boolean()->get()) result_.arguments.push_back(option_name);
        } else if (const auto* text = node.as_string()) {
            if (text->get().empty()) return error(node, name + " is empty");
            result_.arguments.push_back(option_name + "=" + text->get());
        } else if (const auto* number = node.as_integer()) {
            result_.arguments.push_back(fmt::format("{}={}", option_name, number->get()));
        } else {
            error(node, name + " takes a string or a whole number");
        }
    }

    [[nodiscard]] bool known_elsewhere(const std::string& key) const {
        if (key == "config" || key == "help" || key.starts_with("-")) return false;
        const auto commands =
            app_.get_subcommands([](const CLI::App* sub) { return takes_config(*sub); });
        return std::ranges::any_of(commands, [&](const CLI::App* sub) {
            return sub->get_option_no_throw("--" + key) != nullptr;
        });
    }

    /// True if the command line has it.
    [[nodiscard]] bool given(const CLI::Option& option) const {
        return std::ranges::any_of(arguments_, [&](const std::string& argument) {
            const std::string name = argument.substr(0, argument.find('='));
            if (name.starts_with("--")) return option.check_lname(name.substr(2));
            return name.size() == 2 && name[0] == '-' && option.check_sname(name.substr(1));
        });
    }

    std::string path_;
    const std::vector<std::string>& arguments_;
    const CLI::App& command_;
    const CLI::App& app_;
    ConfigArguments result_;
    std::string errors_;
    std::size_t error_count_ = 0;
};

}  // namespace

std::string ConfigArguments::place_of(std::string_view error_text) const {
    const Entry* best = nullptr;
    for (const Entry& entry : entries) {
        if (!error_text.contains(entry.option)) continue;
        // "--source-user" also contains "--source".
        if (best == nullptr || entry.option.size() > best->option.size()) best = &entry;
    }
    return best == nullptr ? "" : best->place;
}

std::expected<ConfigArguments, std::string> read_config(const std::vector<std::string>& arguments,
                                                        const CLI::App& app) {
    if (arguments.empty()) return ConfigArguments{};
    const auto commands = app.get_subcommands([&](const CLI::App* command) {
        return command->get_name() == arguments.front() && takes_config(*command);
    });
    const auto path = config_path(arguments);
    if (commands.empty() || !path) return ConfigArguments{};
    return Reading(*path, arguments, *commands.front(), app).run();
}

}  // namespace imapult::program
