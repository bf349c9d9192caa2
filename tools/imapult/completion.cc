// Completion scripts, made from the same App that parses: they cannot fall behind it.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "tools/imapult/command_line.h"
#include "tools/imapult/command_line_app.h"

namespace imapult::program {
namespace {

/// Path of a command ("provision plan") and what may follow it.
struct Words {
    std::string path;
    std::string words;
};

void collect(const CLI::App& app, const std::string& path, std::vector<Words>& all) {
    Words words{path, ""};
    const auto add = [&](const std::string& word) {
        words.words += (words.words.empty() ? "" : " ") + word;
    };
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        add(sub->get_name());
    }
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) add("--" + name);
    }
    all.push_back(words);
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        collect(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), all);
    }
}

std::string bash_script(const std::vector<Words>& all) {
    std::string out =
        "_imapult() {\n"
        "    local path=\"\" word words=\"\"\n"
        "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
        "        case \"$word\" in -*) break ;; *) path=\"${path:+$path }$word\" ;; esac\n"
        "    done\n"
        "    case \"$path\" in\n";
    for (const Words& words : all) {
        out += fmt::format("        \"{}\") words=\"{}\" ;;\n", words.path, words.words);
    }
    return out +
           "    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
           "}\n"
           "complete -o default -F _imapult imapult\n";
}

std::string fish_script(const std::vector<Words>& all) {
    std::string out =
        "function __imapult_path\n"
        "    set -l path\n"
        "    for word in (commandline -opc)[2..]\n"
        "        string match -q -- '-*' $word; and break\n"
        "        set -a path $word\n"
        "    end\n"
        "    echo \"$path\"\n"
        "end\n";
    for (const Words& words : all) {
        out += fmt::format("complete -c imapult -n 'test (__imapult_path) = \"{}\"' -a '{}'\n",
                           words.path, words.words);
    }
    return out;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<Registrar>& registrars) {
    CommandLine line;
    CLI::App app;
    build_app(app, line);
    for (const Registrar& registrar : registrars) registrar(app, line.exit_code);
    std::vector<Words> all;
    collect(app, "", all);
    if (shell == "fish") return fish_script(all);
    if (shell == "zsh") {
        return "#compdef imapult\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script(all);
    }
    return bash_script(all);
}

}  // namespace imapult::program
