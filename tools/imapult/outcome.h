#pragma once
// A finished run with everything the reports say of it beyond the engine's summary.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/campaign/campaign.h"

namespace imapult::program {

/// Throughput in one stretch of the run.
struct Sample {
    double start_seconds = 0;  ///< since the run began
    double length_seconds = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};

struct Outcome {
    campaign::Command command = campaign::Command::copy;
    bool dry_run = false;
    int exit_code = 0;
    std::int64_t started = 0;  ///< unix seconds
    double seconds = 0;
    double cpu_seconds = 0;
    std::uint64_t peak_rss_bytes = 0;
    campaign::Summary summary;
    /// What was wrong with the command line's values or the accounts file (exit code 2).
    std::vector<std::string> input_errors;
    std::vector<std::string> warnings;
    std::vector<std::string> insecure;  ///< "the source imaps://… : its certificate is not checked"
    std::vector<Sample> samples;
};

/// Sums over all accounts.
struct Totals {
    std::uint64_t accounts = 0, complete = 0, partial = 0, failed = 0;
    campaign::MailboxCounts mailboxes;
    campaign::MessageCounts messages;
    campaign::ByteCounts bytes;
    campaign::RoundTrips round_trips;
    campaign::VerifyCounts verify;
};
Totals totals_of(const campaign::Summary& summary);

std::string_view name_of(campaign::Command command);

/// "2026-11-22T03:58:00Z"; empty for 0.
std::string utc_time(std::int64_t unix_seconds);

/// The line by which a failure is told, with the side: "source: …".
std::string failure_text(const campaign::Failure& failure);

/// Insecure choices of a run, one sentence for each server.
std::vector<std::string> insecure_choices(const campaign::Options& options);

}  // namespace imapult::program
