// What stands in for libFuzzer in ordinary builds: runs a fuzz target over files and folders, then,
// with --seconds N, over random mutations of them (no coverage feedback: a smoke test, not a hunt).
//
//     NAME [--seconds N] [--seed S] FILE|FOLDER…
//
// The seed is printed; the same seed over the same files gives the same inputs. An input that
// crashes the target, or hangs it, is written to crash-NAME beside the working directory.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kInputBytesMax = 8192;
constexpr unsigned kHangSeconds = 60;

// Read by the handlers below, which may run at any moment.
const Bytes* current_input = nullptr;
std::string crash_file;

void save_input() {
    if (current_input == nullptr) return;
    std::FILE* file = std::fopen(crash_file.c_str(), "wb");
    if (file == nullptr) return;
    std::fwrite(current_input->data(), 1, current_input->size(), file);
    std::fclose(file);
    std::fprintf(stderr, "the input is in %s (%zu octets)\n", crash_file.c_str(),
                 current_input->size());
    current_input = nullptr;
}

void on_signal(int signal_number) {
    save_input();
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
}

void run(const Bytes& input) {
    current_input = &input;
    // A copy of exactly this size, on the heap, so that reading beyond it is seen.
    const Bytes copy(input);
    LLVMFuzzerTestOneInput(copy.data(), copy.size());
    current_input = nullptr;
}

Bytes read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Random small changes of an input, and crossings of two.
class Mutator {
  public:
    Mutator(std::uint64_t seed, const std::vector<Bytes>& corpus)
        : random_(seed), corpus_(corpus) {}

    Bytes next() {
        Bytes input = pick();
        const std::uint64_t changes = random_.between(1, 6);
        for (std::uint64_t i = 0; i < changes; ++i) change(input);
        if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
        return input;
    }

  private:
    const Bytes& pick() { return corpus_[random_.below(corpus_.size())]; }
    std::size_t place(const Bytes& input) { return random_.below(input.size() + 1); }
    static Bytes::iterator at(Bytes& input, std::size_t place) {
        return input.begin() + static_cast<std::ptrdiff_t>(place);
    }

    void change(Bytes& input) {
        switch (random_.below(7)) {
            case 0:  // flip a bit
                if (!input.empty()) {
                    input[random_.below(input.size())] ^=
                        static_cast<std::uint8_t>(1U << random_.below(8));
                }
                break;
            case 1:  // any octet
                input.insert(at(input, place(input)), static_cast<std::uint8_t>(random_.next()));
                break;
            case 2:
                insert_token(input);
                break;
            case 3:
                cut(input);
                break;
            case 4:
                repeat(input);
                break;
            case 5:
                cross(input);
                break;
            default:
                change_number(input);
                break;
        }
    }
    void insert_token(Bytes& input) {
        static constexpr std::array<std::string_view, 24> kTokens = {
            "\r\n", "\n", "\"",  "\\",         "(",
            ")",    "{",  "}",   "{0}\r\n",    "{3}\r\nabc",
            "[",    "]",  "*",   "+",          " ",
            "&",    "-",  "NIL", "4294967296", "18446744073709551616",
            ":",    ",",  "%",   "\xC3\xA9"};
        const std::string_view token = kTokens[random_.below(kTokens.size())];
        input.insert(at(input, place(input)), token.begin(), token.end());
    }
    void cut(Bytes& input) {
        const std::size_t from = place(input);
        const std::size_t count = random_.below(std::min<std::size_t>(input.size() - from, 16) + 1);
        input.erase(at(input, from), at(input, from + count));
    }
    void repeat(Bytes& input) {
        const std::size_t from = place(input);
        const std::size_t count = random_.below(std::min<std::size_t>(input.size() - from, 64) + 1);
        const Bytes part(at(input, from), at(input, from + count));
        input.insert(at(input, place(input)), part.begin(), part.end());
    }
    void cross(Bytes& input) {
        const Bytes& other = pick();
        const std::size_t from = random_.below(other.size() + 1);
        input.resize(place(input));
        input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
    }
    void change_number(Bytes& input) {
        const auto is_digit = [](std::uint8_t c) { return c >= '0' && c <= '9'; };
        const auto begin = std::find_if(at(input, place(input)), input.end(), is_digit);
        const auto end = std::find_if_not(begin, input.end(), is_digit);
        if (begin == end) return;
        const std::string number = std::to_string(random_.next() >> random_.below(64));
        const auto place = input.erase(begin, end);
        input.insert(place, number.begin(), number.end());
    }

    imapult::Random random_;
    const std::vector<Bytes>& corpus_;
};

struct Options {
    std::uint64_t seconds = 0;
    std::uint64_t seed = std::random_device{}();
    std::vector<std::filesystem::path> files;
};

bool read_options(int count, char** arguments, Options& options) {
    for (int i = 1; i < count; ++i) {
        const std::string_view argument = arguments[i];
        const bool seconds = argument == "--seconds";
        if (seconds || argument == "--seed") {
            const auto value = i + 1 < count ? imapult::parse_number(arguments[++i]) : std::nullopt;
            if (!value) return false;
            (seconds ? options.seconds : options.seed) = *value;
        } else if (std::filesystem::is_directory(argument)) {
            for (const auto& entry : std::filesystem::recursive_directory_iterator(argument)) {
                if (entry.is_regular_file()) options.files.push_back(entry.path());
            }
        } else if (std::filesystem::is_regular_file(argument)) {
            options.files.emplace_back(argument);
        } else {
            return false;
        }
    }
    std::ranges::sort(options.files);  // the order of a folder is not the same everywhere
    return !options.files.empty();
}

}  // namespace

int main(int count, char** arguments) {
    Options options;
    if (!read_options(count, arguments, options)) {
        std::fprintf(stderr, "usage: %s [--seconds N] [--seed S] FILE|FOLDER...\n", arguments[0]);
        return 64;
    }
    crash_file = "crash-" + std::filesystem::path(arguments[0]).filename().string();
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(save_input);
    for (const int signal_number : {SIGABRT, SIGALRM}) std::signal(signal_number, on_signal);
    std::vector<Bytes> corpus;
    for (const auto& file : options.files) corpus.push_back(read_file(file));
    alarm(static_cast<unsigned>(options.seconds) + kHangSeconds);
    for (const Bytes& input : corpus) run(input);
    std::printf("%zu inputs replayed\n", corpus.size());
    if (options.seconds == 0) return 0;

    std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
    std::fflush(stdout);
    Mutator mutator(options.seed, corpus);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
    std::uint64_t runs = 0;
    while (std::chrono::steady_clock::now() < end) {
        run(mutator.next());
        ++runs;
    }
    std::printf("%llu mutations in %llu s\n", static_cast<unsigned long long>(runs),
                static_cast<unsigned long long>(options.seconds));
    return 0;
}
