// Random responses, written by a generator that knows nothing of the parser, cut at random.
#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "imap/every_split.h"

namespace imapult::imap::testing {
namespace {

/// Writes a random FETCH and, beside it, the events that it must give.
class FetchMaker {
  public:
    explicit FetchMaker(Random& random) : random_(random) {}

    void make(std::string& wire, std::vector<std::string>& lines) {
        wire_ = "* " + std::to_string(sequence_) + " FETCH (";
        uid_.clear(), flags_.clear(), size_.clear(), modseq_.clear();
        octets_ = 0;
        streamed_ = nil_ = false;
        for (std::uint64_t i = random_.between(1, 6); i > 0; --i) {
            item(lines);
            if (i > 1) wire_ += ' ';
        }
        wire += wire_ + ")\r\n";
        std::string line =
            "fetch seq=" + std::to_string(sequence_) + uid_ + flags_ + size_ + modseq_;
        if (streamed_) {
            line += " body=" + std::to_string(octets_);
        } else if (nil_) {
            line += " body-nil";
        }
        lines.push_back(line);
        ++sequence_;
    }

  private:
    std::string number(std::uint64_t most) { return std::to_string(random_.between(1, most)); }

    void item(std::vector<std::string>& lines) {
        switch (random_.below(7)) {
            case 0: {
                const std::string uid = number(UINT32_MAX);
                wire_ += "UID " + uid;
                uid_ = " uid=" + uid;
                break;
            }
            case 1:
                flags();
                break;
            case 2: {
                const std::string size = number(UINT64_MAX);
                wire_ += "RFC822.SIZE " + size;
                size_ = " size=" + size;
                break;
            }
            case 3: {
                const std::string modseq = number(INT64_MAX);
                wire_ += "MODSEQ (" + modseq + ")";
                modseq_ = " modseq=" + modseq;
                break;
            }
            case 4:
                wire_ += "ENVELOPE ((\"a)\\\"\" NIL) {4}\r\n)\r\n( x)";
                break;
            case 5:
                body(lines);
                break;
            default:
                wire_ += "BODY[TEXT] NIL";
                nil_ = true;
        }
    }
    void flags() {
        std::string list;
        for (std::uint64_t i = random_.below(4); i > 0; --i) {
            list += (list.empty() ? "" : " ") + std::string("$k") + number(99);
        }
        wire_ += "FLAGS (" + list + ")";
        flags_ = " flags=(" + list + ")";
    }
    void body(std::vector<std::string>& lines) {
        std::string octets;
        for (std::uint64_t i = random_.below(40); i > 0; --i) {
            octets += random_.chance(0.3) ? "\r\n)"[random_.below(3)]
                                          : static_cast<char>(random_.below(256));
        }
        const std::string section = random_.chance(0.5) ? "" : "1.HEADER";
        wire_ += "BODY[" + section + "] {" + std::to_string(octets.size()) + "}\r\n" + octets;
        lines.push_back("body seq=" + std::to_string(sequence_) + uid_ +
                        (section.empty() ? "" : " section=<" + section + ">") +
                        " bytes=" + std::to_string(octets.size()));
        lines.push_back("octets " + show(octets));
        octets_ += octets.size();
        streamed_ = true;
    }

    Random& random_;
    std::uint64_t sequence_ = 1;
    std::string wire_, uid_, flags_, size_, modseq_;
    std::uint64_t octets_ = 0;
    bool streamed_ = false, nil_ = false;
};

TEST(RoundTrip, RandomFetchesCutAtRandom) {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        FetchMaker maker(random);
        std::string wire;
        std::vector<std::string> lines;
        for (int i = 0; i < 10; ++i) maker.make(wire, lines);
        std::vector<std::string_view> pieces;
        for (std::string_view rest = wire; !rest.empty();) {
            pieces.push_back(rest.substr(0, random.between(1, 50)));
            rest.remove_prefix(pieces.back().size());
        }
        const Seen whole = parse_pieces({wire});
        ASSERT_EQ(whole.lines, lines);
        ASSERT_EQ(parse_pieces(pieces), whole);
    }
}

}  // namespace
}  // namespace imapult::imap::testing
