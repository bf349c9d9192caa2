#include "tools/imapult/program.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/memory.h"
#include "engine/base/text.h"
#include "tools/imapult/console.h"
#include "tools/imapult/exit_code.h"
#include "tools/imapult/monitor.h"
#include "tools/imapult/outcome.h"
#include "tools/imapult/proof_file.h"
#include "tools/imapult/reports.h"
#include "tools/imapult/signals.h"
#include "tools/imapult/status_command.h"

namespace imapult::program {
namespace {

/// Standard output and the like; who does not read it any more does not stop a run.
void write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = write(descriptor, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void add_usage(Outcome& outcome) {
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    outcome.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    outcome.peak_rss_bytes = peak_resident_bytes();
}

campaign::Command command_of(Verb verb) {
    switch (verb) {
        case Verb::migrate:
            return campaign::Command::migrate;
        case Verb::follow:
            return campaign::Command::follow;
        case Verb::check:
            return campaign::Command::check;
        case Verb::verify:
            return campaign::Command::verify;
        default:
            return campaign::Command::copy;
    }
}

std::vector<std::string> output_errors(const OutputArguments& output) {
    std::vector<std::string> errors;
    for (const std::string& path : output.reports) {
        if (const auto good = check_report(path); !good) errors.push_back(good.error().text);
    }
    if (!output.events_file.empty()) {
        const auto good = check_events_file(output.events_file);
        if (!good) errors.push_back(good.error().text);
    }
    return errors;
}

class DataRun {
  public:
    DataRun(const CommandLine& line, const Environment& environment)
        : line_(line), environment_(environment), console_(environment.standard_error) {}

    int run() {
        outcome_.command = command_of(line_.verb);
        outcome_.dry_run = line_.data.dry_run;
        outcome_.started = std::time(nullptr);
        std::vector<std::string> errors = output_errors(line_.output);
        auto settings = prepare(line_.verb, line_.data, environment_.prompt);
        if (!settings) {
            errors.insert(errors.end(), settings.error().begin(), settings.error().end());
        }
        if (!errors.empty()) return refuse(std::move(errors));
        outcome_.warnings = std::move(settings->warnings);
        outcome_.insecure = insecure_choices(settings->options);
        execute(settings->options);
        return report();
    }

  private:
    int refuse(std::vector<std::string> errors) {
        for (const std::string& text : errors) console_.print("imapult: " + text);
        outcome_.input_errors = std::move(errors);
        outcome_.exit_code = kExitUsage;
        add_usage(outcome_);
        if (line_.output.json) {
            write_all(environment_.standard_output, to_text(summary_json(outcome_)));
        }
        return outcome_.exit_code;
    }

    void execute(const campaign::Options& options) {
        block_signals();
        const OutputArguments& output = line_.output;
        MonitorOptions shown;
        shown.show_progress = !output.quiet;
        shown.log_level = !output.log_level.empty() ? output.log_level
                          : output.quiet            ? "error"
                                                    : "warning";
        shown.events_file = output.events_file;
        Monitor monitor(options, shown, console_);
        for (const std::string& text : outcome_.warnings) monitor.warn(text);
        for (const std::string& text : outcome_.insecure) monitor.warn("insecure: " + text);
        campaign::StopToken stop;
        SignalThread signals(
            stop,
            [&](campaign::StopToken::Level level) {
                monitor.set_stopping();
                const bool at_once = level == campaign::StopToken::Level::at_once;
                console_.print(at_once ? "imapult: ending at once"
                                       : "imapult: ending cleanly; once more ends at once");
            },
            [&] { monitor.show_state(); });
        const auto begin = std::chrono::steady_clock::now();
        monitor.start();
        outcome_.summary = environment_.run_campaign(options, monitor, stop);
        monitor.finish();
        outcome_.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        outcome_.samples = monitor.samples();
        add_usage(outcome_);
        outcome_.exit_code =
            exit_code_of(outcome_.summary, outcome_.command, signals.first_signal());
        monitor.run_finished(outcome_);
    }

    int report() {
        // Reports tell the exit code, which a proof that cannot be written may raise.
        write_proof();
        // A report that cannot be written must not hide behind a good exit code.
        for (const std::string& path : line_.output.reports) {
            if (const auto written = write_report(path, outcome_); !written) {
                console_.print("imapult: " + written.error().text);
                if (outcome_.exit_code == kExitComplete) outcome_.exit_code = kExitIncomplete;
            }
        }
        if (line_.output.json) {
            write_all(environment_.standard_output, to_text(summary_json(outcome_)));
        } else if (!line_.output.quiet) {
            write_all(environment_.standard_output, summary_text(outcome_));
        }
        if (outcome_.summary.failure) {
            console_.print("imapult: " + failure_text(*outcome_.summary.failure));
        }
        return outcome_.exit_code;
    }

    void write_proof() {
        const std::string& path = line_.data.proof_file;
        if (path.empty()) return;
        const Proofs proofs = proofs_of(outcome_.summary);
        const std::size_t unproved = outcome_.summary.accounts.size() - proofs.size();
        if (unproved > 0) {
            console_.print(fmt::format("imapult: {} accounts could not be proved{}", unproved,
                                       proofs.empty() ? "; no proof was written" : ""));
        }
        if (proofs.empty()) return;
        if (const auto done = replace_file(path, proof_text(proofs, outcome_.started)); !done) {
            console_.print(fmt::format("imapult: the proof {} cannot be written: {}",
                                       printable(path), done.error().text));
            if (outcome_.exit_code == kExitComplete) outcome_.exit_code = kExitIncomplete;
        }
    }

    const CommandLine& line_;
    const Environment& environment_;
    Console console_;
    Outcome outcome_;
};

int run_status(const CommandLine& line, const Environment& environment) {
    const auto folder = state_folder(line.data.state_dir);
    auto text = folder ? status_report(*folder, line.output.json)
                       : Result<std::string>(std::unexpected(folder.error()));
    if (text) {
        write_all(environment.standard_output, *text);
        return kExitComplete;
    }
    write_all(environment.standard_error, fmt::format("imapult: {}\n", text.error().text));
    return text.error().code == Code::invalid_input ? kExitUsage : kExitState;
}

int run_completion(const CommandLine& line, const Environment& environment) {
    write_all(environment.standard_output, completion_script(line.shell, environment.registrars));
    return kExitComplete;
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, const Environment& environment) {
    std::string help;
    const auto line = parse_command_line(arguments, environment.registrars, help);
    if (!line) {
        write_all(environment.standard_error, fmt::format("imapult: {}\n", line.error()));
        return kExitUsage;
    }
    switch (line->verb) {
        case Verb::copy:
        case Verb::migrate:
        case Verb::follow:
        case Verb::check:
        case Verb::verify:
            return DataRun(*line, environment).run();
        case Verb::status:
            return run_status(*line, environment);
        case Verb::imapd:
            return environment.run_imapd(line->imapd);
        case Verb::completion:
            return run_completion(*line, environment);
        case Verb::none:
            write_all(environment.standard_output, help);
            return kExitComplete;
        case Verb::other:
            break;
    }
    return line->exit_code;
}

}  // namespace imapult::program
