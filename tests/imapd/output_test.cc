// Large things: output made while it is read, literals in many pieces, several threads.

#include <chrono>
#include <thread>

#include "imapd/client.h"
#include "tools/imapd/corpus.h"

namespace imapult::imapd {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Large : public ImapdTest {};

TEST_F(Large, OutputComesInPiecesOfTheSizeAskedFor) {
    serve();
    const std::string big(3'000'000, 'x');
    deliver("INBOX", big);
    Client c = client();
    c("1 EXAMINE INBOX");
    c.connection().feed("2 UID FETCH 1 BODY.PEEK[]\r\n3 NOOP\r\n");
    std::string all;
    while (c.connection().has_output()) {
        const std::size_t n = c.connection().read_output(all, 10'000);
        ASSERT_LE(n, 10'000U);
        ASSERT_GT(n, 0U);
    }
    EXPECT_EQ(all, "* 1 FETCH (UID 1 BODY[] {3000000}\r\n" + big +
                       ")\r\n2 OK Fetch completed.\r\n3 OK NOOP completed.\r\n");
}

TEST_F(Large, CommandsBehindALargeAnswerAreNotForgottenWhenItIsReadExactly) {
    serve();
    deliver("INBOX", kMail);
    Client c = client();
    c("1 EXAMINE INBOX");
    const std::size_t size = c("2 UID FETCH 1 BODY.PEEK[]").size();
    c.connection().feed("3 UID FETCH 1 BODY.PEEK[]\r\n4 NOOP\r\n");
    EXPECT_EQ(c.connection().take_output(size).size(), size);
    EXPECT_TRUE(c.connection().has_output());
    EXPECT_THAT(c.connection().take_output(), StartsWith("4 OK"));
}

TEST_F(Large, AFetchOfManyMessagesIsMadeWhileItIsRead) {
    serve();
    const auto body = std::make_shared<const std::string>(kMail);
    for (int i = 0; i < 100'000; ++i) {
        store().add_message(kUser, "INBOX", {.body = body, .flags = {}, .date = {}, .labels = {}});
    }
    Client c = client();
    c("1 EXAMINE INBOX");
    c.connection().feed("2 UID FETCH 1:100000 (UID FLAGS)\r\n");
    std::string out;
    c.connection().read_output(out, 100);
    EXPECT_THAT(out, StartsWith("* 1 FETCH (UID 1 FLAGS ())\r\n"));
    // What has not been made yet shows what happens meanwhile.
    store().set_flags(kUser, "INBOX", 100'000, {"\\Flagged"});
    out += c.connection().take_output();
    EXPECT_THAT(out, HasSubstr("* 100000 FETCH (UID 100000 FLAGS (\\Flagged))\r\n"));
    EXPECT_THAT(out, EndsWith("2 OK Fetch completed.\r\n"));
}

TEST_F(Large, CommandsWaitWhileOutputIsNotRead) {
    serve();
    deliver("INBOX", std::string(100'000, 'x'));
    Client c = client();
    c("1 EXAMINE INBOX");
    std::string commands;
    for (int i = 0; i < 60'000; ++i) commands += "f UID FETCH 1 BODY.PEEK[]\r\n";
    c.connection().feed(commands);
    EXPECT_FALSE(c.connection().wants_input());
    std::size_t total = 0;
    std::string out;
    while (c.connection().has_output() && total < 10'000'000) {
        out.clear();
        total += c.connection().read_output(out, 1'000'000);
    }
    EXPECT_GE(total, 10'000'000U);
}

TEST_F(Large, ALargeAppendInSmallPiecesTakesLinearTime) {
    serve();
    Client c = client();
    const std::size_t size = 40'000'000;
    EXPECT_EQ(c("1 APPEND INBOX {" + std::to_string(size) + "}"), "+ OK\r\n");
    const std::string piece(4'000, 'y');
    for (std::size_t sent = 0; sent < size; sent += piece.size()) c.connection().feed(piece);
    EXPECT_THAT(c(""), StartsWith("1 OK"));
    EXPECT_EQ(store().messages(kUser, "INBOX")[0].body->size(), size);
}

TEST_F(Large, PipelinedAppendsInOneWriteAllLand) {
    serve();
    Client c = client();
    std::string all;
    for (int i = 0; i < 200; ++i) {
        all += "a" + std::to_string(i) + " APPEND INBOX {43+}\r\n" + std::string(kMail) + "\r\n";
    }
    const std::string out = c.raw(all);
    EXPECT_THAT(out, HasSubstr("a199 OK [APPENDUID 1700000000 200]"));
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 200U);
}

TEST_F(Large, ManyThreadsShareOneStore) {
    serve();
    constexpr int kThreads = 4;
    constexpr int kEach = 200;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([this] {
            Client c(store());
            c.login();
            c("1 SELECT INBOX");
            for (int i = 0; i < kEach; ++i) {
                c("2 APPEND INBOX {43+}\r\n" + std::string(kMail));
                c("3 UID STORE " + std::to_string(i + 1) + " +FLAGS.SILENT (\\Seen)");
                c("4 UID FETCH 1:5 (FLAGS BODY.PEEK[])");
            }
        });
    }
    for (auto& t : threads) t.join();
    const auto all = store().messages(kUser, "INBOX");
    ASSERT_EQ(all.size(), static_cast<std::size_t>(kThreads * kEach));
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].uid, i + 1);
}

TEST(Corpus, IsTheSameForTheSameSeed) {
    MessageGenerator a(7);
    MessageGenerator b(7);
    MessageGenerator other(8);
    bool differs = false;
    for (int i = 0; i < 50; ++i) {
        const NewMessage x = a.next();
        const NewMessage y = b.next();
        ASSERT_EQ(*x.body, *y.body);
        ASSERT_EQ(x.flags, y.flags);
        ASSERT_EQ(x.date, y.date);
        differs |= *other.next().body != *x.body;
    }
    EXPECT_TRUE(differs);
}

TEST(Corpus, HasEveryOddityInItsProportion) {
    MessageShape shape;
    shape.median_bytes = 2'000;
    shape.p99_bytes = 20'000;
    MessageGenerator generator(1, shape);
    constexpr int kCount = 20'000;
    std::vector<std::size_t> sizes;
    int nul = 0;
    int raw = 0;
    int no_id = 0;
    int no_crlf = 0;
    int bare = 0;
    for (int i = 0; i < kCount; ++i) {
        const NewMessage m = generator.next();
        const std::string& body = *m.body;
        const std::string header = body.substr(0, body.find("\r\n\r\n"));
        sizes.push_back(body.size());
        nul += body.find('\0') != std::string::npos;
        raw += header.find("Gr\xFC\xDF") != std::string::npos;
        no_id += header.find("Message-ID:") == std::string::npos;
        no_crlf += !body.ends_with("\r\n");
        for (std::size_t at = 0; (at = body.find('\n', at)) != std::string::npos; ++at) {
            if (at > 0 && body[at - 1] == '\r') continue;
            ++bare;
            break;
        }
    }
    std::ranges::sort(sizes);
    EXPECT_NEAR(static_cast<double>(sizes[kCount / 2]), 2'000, 500);
    EXPECT_NEAR(nul, kCount * 0.001, 20);
    EXPECT_NEAR(raw, kCount * 0.05, 150);
    EXPECT_NEAR(no_id, kCount * 0.021, 100);
    EXPECT_NEAR(no_crlf, kCount * 0.02, 100);
    EXPECT_NEAR(bare, kCount * 0.01, 60);
}

TEST(Corpus, OrganisationsFollowTheServersNaming) {
    for (const char* name : {"standard", "courier", "carbonio"}) {
        SCOPED_TRACE(name);
        Behaviour b;
        ASSERT_TRUE(preset(name, b));
        Store store(b);
        OrganisationShape shape;
        shape.accounts = 3;
        shape.mailboxes = 25;
        shape.messages = 50;
        shape.shape = MessageShape::plain(1'000);
        const Organisation made = fill(store, 5, shape);
        EXPECT_EQ(made.messages, 150U);
        EXPECT_EQ(store.accounts().size(), 3U);
        std::size_t messages = 0;
        for (const std::string& account : made.accounts) {
            for (const MailboxView& box : store.mailboxes(account)) {
                messages += box.messages;
                EXPECT_TRUE(is_canonical_mutf7(box.name)) << box.name;
                EXPECT_TRUE(box.name.starts_with(b.prefix) || box.name == b.inbox_name);
            }
        }
        EXPECT_EQ(messages, 150U);
    }
}

TEST(Wire, ModifiedUtf7GoesBothWays) {
    for (const char* name : {"Entwürfe", "日本語", "📁 x", "a&b", "&", "", "plain"}) {
        const std::string wire = encode_mutf7(name);
        EXPECT_EQ(decode_mutf7(wire), name);
        EXPECT_TRUE(is_canonical_mutf7(wire)) << wire;
    }
    EXPECT_EQ(encode_mutf7("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
    EXPECT_FALSE(decode_mutf7("&"));
    EXPECT_FALSE(decode_mutf7("&A-"));
    EXPECT_FALSE(decode_mutf7("&2AA-"));  // a lone surrogate
    EXPECT_FALSE(is_canonical_mutf7("&AGE-"));
}

TEST(Wire, DatesOfEveryKind) {
    const auto date = parse_date_time(" 1-Feb-2024 10:20:30 +0100");
    ASSERT_TRUE(date);
    EXPECT_EQ(date->unix_seconds, 1'706'779'230);
    EXPECT_EQ(date->zone_minutes, 60);
    EXPECT_EQ(parse_date_time("1-feb-2024 10:20:30 +0100"), date);
    EXPECT_EQ(parse_date_time("31-Dec-1969 23:59:59 +0000")->unix_seconds, -1);
    EXPECT_EQ(format_date_time({-1, 0}), "31-Dec-1969 23:59:59 +0000");
    EXPECT_EQ(parse_date_time("29-Feb-2023 00:00:00 +0000"), std::nullopt);
    EXPECT_EQ(parse_date_time("01-Jan-2023 24:00:00 +0000"), std::nullopt);
    EXPECT_EQ(parse_date_time("garbage"), std::nullopt);
    EXPECT_EQ(parse_date_time(""), std::nullopt);
}

TEST(Wire, SetsAreSortedAndMerged) {
    const auto set = NumberSet::parse("5:3,9,*,4:6,1", 9);
    ASSERT_TRUE(set);
    EXPECT_EQ(set->text(), "1,3:6,9");
    EXPECT_TRUE(set->contains(5));
    EXPECT_FALSE(set->contains(7));
    for (const char* wrong : {"", "0", "1,", ":", "1:", "a", "4294967296"}) {
        EXPECT_FALSE(NumberSet::parse(wrong, 1)) << wrong;
    }
}

}  // namespace
}  // namespace imapult::imapd
