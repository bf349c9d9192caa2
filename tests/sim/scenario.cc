#include "sim/scenario.h"

#include <array>
#include <cmath>
#include <sstream>

namespace imapult::sim {

namespace {

using namespace std::chrono_literals;

/// Extensions the engine uses where they are there; each may be missing.
constexpr std::array<std::string_view, 19> kHideable{
    "LITERAL+", "MULTIAPPEND", "UIDPLUS", "LIST-STATUS", "LIST-EXTENDED", "CONDSTORE",
    "QRESYNC",  "NAMESPACE",   "ID",      "UNSELECT",    "SASL-IR",       "SPECIAL-USE",
    "ENABLE",   "STATUS=SIZE", "QUOTA",   "OBJECTID",    "BINARY",        "CREATE-SPECIAL-USE",
    "ESEARCH"};

void hide_some(Random& random, imapd::Behaviour& b) {
    if (random.chance(0.4)) return;
    const double each = random.unit() * 0.6;
    for (const std::string_view word : kHideable) {
        if (random.chance(each)) b.hide(word);
    }
    // QRESYNC implies CONDSTORE (RFC 7162 §3.2.3).
    if (b.offers("QRESYNC") && !b.offers("CONDSTORE")) b.hide("QRESYNC");
}

/// Keeps how the server talks and takes away how it changes or refuses what it is given.
void accept_everything(imapd::Behaviour& b) {
    const imapd::Behaviour plain;
    b.on_nul = plain.on_nul;
    b.on_bare_lf = plain.on_bare_lf;
    b.on_lone_cr = plain.on_lone_cr;
    b.on_empty = plain.on_empty;
    b.adds_final_crlf = b.refuses_without_final_crlf = false;
    b.munges_8bit_headers = b.refuses_8bit_headers = b.refuses_headerless = false;
    b.drops_from_line = b.drops_body_without_header = false;
    b.identical_messages_max = 0;
    b.merges_identical = b.revives_from_trash = false;
    b.message_line_bytes_max = 0;
    b.system_flags_refused.clear();
    b.date_min = plain.date_min;
    b.date_max = plain.date_max;
    b.future_dates_to_now = b.drops_flags_and_dates = false;
    b.max_message_bytes = 0;
    b.keywords_creatable = true;
    b.keywords_session_only.clear();
    b.keyword_forbidden.clear();
    b.keywords_max = 0;
    std::erase_if(b.capabilities,
                  [](const std::string& word) { return word.starts_with("APPENDLIMIT"); });
}

void refuse_some(Random& random, imapd::Behaviour& b) {
    switch (random.below(5)) {
        case 0:
            b.max_message_bytes = random.between(600, 8'000);
            b.too_big_has_code = random.chance(0.5);
            break;
        case 1:
            b.on_nul = random.chance(0.5) ? imapd::OnNul::refuse_no : imapd::OnNul::refuse_bad;
            break;
        case 2:
            b.on_bare_lf = imapd::OnBareLf::refuse;
            break;
        case 3:
            b.refuses_8bit_headers = true;
            break;
        default:
            b.refuses_without_final_crlf = true;
            break;
    }
    b.append_failure_bare = random.chance(0.3);
}

Nanos magnitude(Random& random, Nanos low, Nanos high) {
    const double a = std::log(static_cast<double>(low.count()));
    const double b = std::log(static_cast<double>(high.count()));
    return Nanos(static_cast<std::int64_t>(std::exp(a + random.unit() * (b - a))));
}

Weather make_weather(Random& random, bool breaks) {
    Weather w;
    if (random.chance(0.7)) w.latency = magnitude(random, 100us, 80ms);
    w.capacity = static_cast<std::size_t>(random.between(2'048, 128 * 1024));
    if (random.chance(0.5)) w.short_read = random.unit();
    if (random.chance(0.5)) w.split_write = random.unit();
    if (random.chance(0.5)) {
        w.stall = random.unit() * 0.2;
        w.stall_max = magnitude(random, 1ms, 200ms);
    }
    w.reset_keeps_sent = random.chance(0.7);
    if (!breaks) return w;
    if (random.chance(0.8)) w.reset = random.unit() * 0.6;
    if (random.chance(0.2)) w.freeze = random.unit() * 0.3;
    if (random.chance(0.2)) w.unreachable = random.unit() * 0.3;
    w.trouble_bytes_max = random.between(1'000, 150'000);
    return w;
}

PassPlan make_pass(Random& random, bool first) {
    PassPlan plan;
    const bool trouble = random.chance(0.75);
    plan.weather = make_weather(random, trouble && random.chance(0.5));
    if (trouble && random.chance(0.7)) {
        plan.ending = static_cast<Ending>(random.between(1, 5));
        plan.when = magnitude(random, 1ms, 30s);
        plan.commit = static_cast<std::uint64_t>(magnitude(random, 1ns, 60ns).count());
    }
    plan.busy_source = random.chance(0.2);
    plan.forget_ledger = !first && random.chance(0.07);
    plan.changes = first ? 0 : random.below(9);
    plan.commit_max = random.chance(0.5) ? Nanos{0} : magnitude(random, 100us, 50ms);
    return plan;
}

}  // namespace

std::string_view name_of(Ending ending) {
    constexpr std::array<std::string_view, 6> kNames{
        "normal",  "killed at a moment", "killed at a commit",
        "stopped", "stopped at once",    "disk full"};
    return kNames.at(static_cast<std::size_t>(ending));
}

Scenario make_scenario(std::uint64_t seed) {
    Random random(seed * 2 + 1);
    Scenario s;
    s.seed = seed;
    // Those whose oddities the checkers can follow octet by octet; tests/quirks has the others.
    constexpr std::array<std::string_view, 10> names{"standard", "dovecot", "cyrus",  "courier",
                                                     "gmail",    "exchange", "yahoo", "icloud",
                                                     "carbonio", "mailutils"};
    s.source_kind = names[random.below(names.size())];
    s.destination_kind = random.chance(0.4) ? "standard" : names[random.below(names.size())];
    (void)imapd::preset(s.source_kind, s.source);
    (void)imapd::preset(s.destination_kind, s.destination);
    hide_some(random, s.source);
    hide_some(random, s.destination);
    accept_everything(s.destination);
    s.refusing = random.chance(0.15);
    if (s.refusing) refuse_some(random, s.destination);
    s.repair = s.refusing && seed % 2 == 0;

    imapd::OrganisationShape& o = s.organisation;
    o.accounts = random.chance(0.2) ? 2 : 1;
    o.mailboxes = random.between(1, 9);
    o.messages = random.chance(0.1) ? random.between(100, 250) : random.below(50);
    o.shape.median_bytes = random.between(300, 2'000);
    o.shape.p99_bytes = 12'000;
    o.shape.bytes_max = 40'000;
    o.shape.nested = 0.02;
    o.shape.long_line = 0.002;
    o.shape.nul = 0.02;
    o.shape.bare_lf = 0.02;
    o.shape.duplicate_message_id = 0.03;
    o.shape.missing_message_id = 0.03;
    o.shape.headerless = 0.01;
    o.shape.identical = 0.05;
    o.shape.old_date = 0.01;
    s.large_message = random.chance(0.1);
    if (random.chance(0.15)) s.copied_before = random.unit();
    s.lanes = static_cast<unsigned>(random.between(1, 4));
    const std::size_t passes = random.between(1, 4);
    for (std::size_t i = 0; i < passes; ++i) s.passes.push_back(make_pass(random, i == 0));
    s.mirror = random.chance(0.5);
    s.fuse = s.mirror && random.chance(0.2);
    return s;
}

std::string describe(const PassPlan& plan) {
    std::ostringstream out;
    const Weather& w = plan.weather;
    out << "latency " << w.latency.count() / 1000 << " us, short reads " << w.short_read
        << ", split writes " << w.split_write << ", stalls " << w.stall << ", resets " << w.reset
        << (w.reset_keeps_sent ? " (the peer reads on)" : "") << ", freezes " << w.freeze
        << ", unreachable " << w.unreachable << "; ending: " << name_of(plan.ending);
    if (plan.ending == Ending::killed_at_commit) {
        out << " " << plan.commit;
    } else if (plan.ending != Ending::normal) {
        out << " " << plan.when.count() / 1'000'000 << " ms";
    }
    if (plan.busy_source) out << "; users work meanwhile";
    if (plan.forget_ledger) out << "; the ledger was deleted before";
    return out.str();
}

std::string describe(const Scenario& s) {
    std::ostringstream out;
    out << "seed " << s.seed << ": " << s.source_kind << " -> " << s.destination_kind
        << (s.repair     ? " (refusing, repaired)"
            : s.refusing ? " (refusing)"
                         : "")
        << ", " << s.organisation.accounts << " accounts, " << s.organisation.mailboxes
        << " mailboxes, " << s.organisation.messages << " messages"
        << (s.large_message ? " and a large one" : "") << ", " << s.lanes << " lanes, "
        << s.passes.size() << " passes";
    if (s.mirror) out << (s.fuse ? ", deletions follow up to the limit" : ", deletions follow");
    if (s.copied_before > 0) out << ", copied before: " << s.copied_before;
    return out.str();
}

}  // namespace imapult::sim
