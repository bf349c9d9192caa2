#include "importers/charset.h"

#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "engine/base/text.h"

namespace imapult::importers {
namespace {

constexpr std::size_t kSampleBytes = 64UL * 1024;
/// Candidates beside the detector's own, in the order in which they win a tie.
constexpr std::array<const char*, 12> kUsual = {
    "windows-1252", "Shift_JIS", "windows-1250", "windows-1251", "EUC-JP",      "GB18030",
    "Big5",         "EUC-KR",    "windows-1253", "windows-1254", "ISO-8859-15", "KOI8-R"};

struct Conversion {
    std::string text;
    std::size_t replaced = 0;
    bool known = false;
};

/// The name under which ICU has the variant that office programs mean.
std::string office_variant(std::string_view name) {
    const std::string lower = to_lower(name);
    if (lower == "iso-8859-1" || lower == "us-ascii" || lower == "ascii") return "windows-1252";
    if (lower == "shift_jis" || lower == "shift-jis" || lower == "sjis") return "ibm-943_P15A-2003";
    if (lower == "iso-8859-9") return "windows-1254";
    if (lower == "gb2312" || lower == "gbk") return "GB18030";
    return std::string(name);
}

Conversion convert(const std::string& charset, std::string_view bytes) {
    Conversion out;
    UErrorCode status = U_ZERO_ERROR;
    const std::unique_ptr<UConverter, void (*)(UConverter*)> from(
        ucnv_open(office_variant(charset).c_str(), &status), &ucnv_close);
    if (U_FAILURE(status) || bytes.size() > std::numeric_limits<std::int32_t>::max() / 4)
        return out;
    const std::unique_ptr<UConverter, void (*)(UConverter*)> to(ucnv_open("UTF-8", &status),
                                                                &ucnv_close);
    if (U_FAILURE(status)) return out;
    out.known = true;
    const char* source = bytes.data();
    const char* source_end = source + bytes.size();
    std::vector<UChar> pivot(4096);
    std::array<char, 16384> block{};
    UChar* pivot_source = pivot.data();
    UChar* pivot_target = pivot.data();
    bool reset = true;
    out.text.reserve(bytes.size() + bytes.size() / 4);
    do {
        status = U_ZERO_ERROR;
        char* target = block.data();
        ucnv_convertEx(to.get(), from.get(), &target, block.data() + block.size(), &source,
                       source_end, pivot.data(), &pivot_source, &pivot_target,
                       pivot.data() + pivot.size(), reset, 1, &status);
        out.text.append(block.data(), static_cast<std::size_t>(target - block.data()));
        reset = false;
    } while (status == U_BUFFER_OVERFLOW_ERROR);
    if (U_FAILURE(status)) out.known = false;
    for (std::size_t at = out.text.find("\xEF\xBF\xBD"); at != std::string::npos;
         at = out.text.find("\xEF\xBF\xBD", at + 3)) {
        ++out.replaced;
    }
    // C1 controls are what single-byte guesses make of the wrong charset.
    for (std::size_t at = out.text.find('\xC2'); at + 1 < out.text.size();
         at = out.text.find('\xC2', at + 1)) {
        if (static_cast<std::uint8_t>(out.text[at + 1]) < 0xA0) ++out.replaced;
        if (out.text.find('\xC2', at + 1) == std::string::npos) break;
    }
    return out;
}

struct Candidate {
    std::string charset;
    int confidence = 0;
};

std::vector<Candidate> detect(std::string_view bytes) {
    std::vector<Candidate> out;
    UErrorCode status = U_ZERO_ERROR;
    const std::unique_ptr<UCharsetDetector, void (*)(UCharsetDetector*)> detector(
        ucsdet_open(&status), &ucsdet_close);
    if (U_FAILURE(status)) return out;
    const std::string_view sample = bytes.substr(0, kSampleBytes);
    ucsdet_setText(detector.get(), sample.data(), static_cast<std::int32_t>(sample.size()),
                   &status);
    std::int32_t count = 0;
    const UCharsetMatch** matches = ucsdet_detectAll(detector.get(), &count, &status);
    if (U_FAILURE(status)) return out;
    for (std::int32_t i = 0; i < count; ++i) {
        UErrorCode ignored = U_ZERO_ERROR;
        const char* name = ucsdet_getName(matches[i], &ignored);
        const int confidence = ucsdet_getConfidence(matches[i], &ignored);
        const std::string_view view = name == nullptr ? std::string_view{} : name;
        // UTF-8 is ruled out already; UTF-16 without a mark is looked for by its zero bytes.
        if (view.empty() || view.starts_with("UTF-") || view.starts_with("IBM42")) continue;
        const bool latin = view == "ISO-8859-1";
        out.push_back({latin ? "windows-1252" : std::string(view), confidence});
    }
    return out;
}

/// UTF-16 without a byte order mark: nearly every second byte of the beginning is zero.
const char* unmarked_utf16(std::string_view bytes) {
    const std::string_view sample = bytes.substr(0, 4096);
    std::array<std::size_t, 2> zeros{};
    for (std::size_t i = 0; i < sample.size(); ++i) {
        if (sample[i] == '\0') ++zeros[i & 1U];
    }
    const std::size_t pairs = sample.size() / 2;
    if (pairs < 4) return nullptr;
    if (zeros[1] * 3 > pairs && zeros[0] * 10 < pairs) return "UTF-16LE";
    if (zeros[0] * 3 > pairs && zeros[1] * 10 < pairs) return "UTF-16BE";
    return nullptr;
}

Result<Decoded> decoded_as(const char* charset, std::string_view bytes, int confidence, bool bom) {
    Conversion conversion = convert(charset, bytes);
    if (!conversion.known) return invalid(std::string("the file cannot be read as ") + charset);
    return Decoded{std::move(conversion.text), charset, confidence, bom, conversion.replaced > 0};
}

bool is_utf8_when_unfolded(std::string_view bytes) {
    std::string unfolded;
    unfolded.reserve(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::size_t breaks = bytes.substr(i).starts_with("\r\n") ? 2
                                   : bytes[i] == '\n'                  ? 1
                                                                       : 0;
        if (breaks > 0 && i + breaks < bytes.size() &&
            (bytes[i + breaks] == ' ' || bytes[i + breaks] == '\t')) {
            i += breaks;
            continue;
        }
        unfolded += bytes[i];
    }
    return is_utf8(unfolded);
}

Result<Decoded> guess(std::string_view bytes, const FitScore& fit) {
    std::vector<Candidate> candidates = detect(bytes);
    for (const char* usual : kUsual) {
        const bool there = std::ranges::any_of(
            candidates, [&](const Candidate& c) { return equal_ignoring_case(c.charset, usual); });
        if (!there) candidates.push_back({usual, usual == kUsual[0] ? 10 : 1});
    }
    const std::string_view sample = bytes.substr(0, kSampleBytes);
    int best_score = std::numeric_limits<int>::min();
    Candidate best{"windows-1252", 10};
    for (const Candidate& candidate : candidates) {
        const Conversion conversion = convert(candidate.charset, sample);
        if (!conversion.known) continue;
        int score = candidate.confidence -
                    static_cast<int>(std::min<std::size_t>(conversion.replaced, 50)) * 20;
        if (fit) score += fit(conversion.text) * 100;
        if (score > best_score) {
            best_score = score;
            best = candidate;
        }
    }
    return decoded_as(best.charset.c_str(), bytes, std::clamp(best.confidence, 1, 99), false);
}

}  // namespace

std::string convert_from(std::string_view charset, std::string_view bytes) {
    Conversion conversion = convert(std::string(charset.substr(0, 64)), bytes);
    return conversion.known ? std::move(conversion.text) : std::string{};
}

Result<Decoded> decode_text(std::string bytes, const FitScore& fit, bool folded) {
    if (bytes.starts_with("\xEF\xBB\xBF")) {
        bytes.erase(0, 3);
        if (is_utf8(bytes) || (folded && is_utf8_when_unfolded(bytes))) {
            return Decoded{std::move(bytes), "UTF-8", 100, true, false};
        }
        // The mark is proof enough; what is no UTF-8 was damaged on the way.
        return decoded_as("UTF-8", bytes, 100, true);
    }
    const std::string_view view = bytes;
    if (view.starts_with(std::string_view("\xFF\xFE\0\0", 4))) {
        return decoded_as("UTF-32LE", view.substr(4), 100, true);
    }
    if (view.starts_with("\xFF\xFE")) return decoded_as("UTF-16LE", view.substr(2), 100, true);
    if (view.starts_with("\xFE\xFF")) return decoded_as("UTF-16BE", view.substr(2), 100, true);
    if (const char* wide = unmarked_utf16(view)) return decoded_as(wide, view, 90, false);
    if (is_utf8(view) || (folded && is_utf8_when_unfolded(view))) {
        return Decoded{std::move(bytes), "UTF-8", 100, false, false};
    }
    const std::string_view sample = view.substr(0, 4096);
    if (std::ranges::count(sample, '\0') * 10 > static_cast<std::ptrdiff_t>(sample.size())) {
        return invalid("the file is not text (it holds many zero bytes)");
    }
    return guess(view, fit);
}

}  // namespace imapult::importers
