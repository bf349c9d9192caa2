// What goes on the wire, and what is refused before it could.
#include "imap/command.h"

#include <gmock/gmock.h>

#include <string>
#include <string_view>

namespace imapult::imap {
namespace {

using namespace std::string_view_literals;
using ::testing::ElementsAre;

/// What goes on the wire; a bar stands where the sender waits for `+`.
std::string wire(const Command& command) {
    std::string joined;
    for (const auto& piece : command.pieces) joined += joined.empty() ? piece : "|" + piece;
    return joined;
}
template <class T>
std::string wire(const Result<T>& command) {
    return command ? wire(static_cast<const Command&>(*command)) : "error: " + command.error().text;
}

constexpr EncodeOptions kSync{};
constexpr EncodeOptions kPlus{.literals = LiteralMode::plus};
constexpr EncodeOptions kMinus{.literals = LiteralMode::minus, .line_bytes_max = 100'000};

TEST(Command, WithoutArguments) {
    EXPECT_EQ(wire(source::noop()), " NOOP\r\n");
    EXPECT_EQ(wire(source::compress_deflate()), " COMPRESS DEFLATE\r\n");
    EXPECT_EQ(wire(source::lsub()), " LSUB \"\" \"*\"\r\n");
    EXPECT_EQ(wire(source::id({})), " ID NIL\r\n");
    EXPECT_EQ(wire(source::idle()), " IDLE\r\n");
    EXPECT_TRUE(source::idle().is_barrier);
}

TEST(Command, NotifyNamesEventsTogetherThatRfc5465WantsTogether) {
    EXPECT_EQ(wire(source::notify()),
              " NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName "
              "SubscriptionChange))\r\n");
}

TEST(Command, RightsAreAddedOrTakenNeverReplaced) {
    using destination::RightsMode;
    EXPECT_EQ(wire(destination::set_acl("Work", "bob@example.com", RightsMode::add, "lrs", kSync)),
              " SETACL Work bob@example.com +lrs\r\n");
    EXPECT_EQ(wire(destination::set_acl("My Work", "group:a b", RightsMode::remove, "w", kSync)),
              " SETACL \"My Work\" \"group:a b\" -w\r\n");
    EXPECT_FALSE(destination::set_acl("Work", "bob", RightsMode::add, "", kSync));
    EXPECT_FALSE(destination::set_acl("Work", "bob", RightsMode::add, "l r", kSync));
    EXPECT_FALSE(destination::set_acl("Work", "bob\r\nx", RightsMode::add, "l", kSync));
    EXPECT_FALSE(destination::set_acl("Work", "", RightsMode::add, "l", kSync));
}

TEST(Command, NothingMayFollowWhatChangesTheStream) {
    EXPECT_TRUE(source::starttls().is_barrier);
    EXPECT_TRUE(source::compress_deflate().is_barrier);
    EXPECT_TRUE(source::logout().is_barrier);
    EXPECT_TRUE(source::login("a", "b", kSync)->is_barrier);
    EXPECT_TRUE(source::authenticate("PLAIN", {})->is_barrier);
    EXPECT_FALSE(source::noop().is_barrier);
    EXPECT_FALSE(source::examine("a", {}, kSync)->is_barrier);
}

TEST(Command, IdDropsWhatItCannotCarry) {
    const std::pair<std::string, std::string> fields[] = {{"name", "a\"b\r\nc"}, {"version", "1"}};
    EXPECT_EQ(wire(source::id(fields)), " ID (\"name\" \"a\\\"bc\" \"version\" \"1\")\r\n");
}

TEST(Command, LoginQuotesAlways) {
    EXPECT_EQ(wire(source::login("user@example.com", "p\"w\\", kSync)),
              " LOGIN \"user@example.com\" \"p\\\"w\\\\\"\r\n");
}

TEST(Command, EightBitPasswordIsALiteralInPieces) {
    EXPECT_EQ(wire(source::login("u", "\xC3\xA9", kSync)), " LOGIN \"u\" {2}\r\n|\xC3\xA9\r\n");
    EXPECT_EQ(wire(source::login("u", "\xC3\xA9", kPlus)), " LOGIN \"u\" {2+}\r\n\xC3\xA9\r\n");
    const std::string large(4097, '\xE9');
    EXPECT_EQ(source::login("u", large.substr(1), kMinus)->pieces.size(), 1U);
    EXPECT_EQ(source::login("u", large, kMinus)->pieces.size(), 2U);
}

TEST(Command, ErrorsNeverShowThePassword) {
    const auto command = source::login("u", "secret\nword", kPlus);
    ASSERT_FALSE(command);
    EXPECT_FALSE(command.error().text.contains("secret"));
}

TEST(Command, NoLineBreakAndNoNulReachesTheWire) {
    for (const std::string_view bad : {"a\nb"sv, "a\rb"sv, "a\0b"sv, "\r\na2 DELETE x"sv}) {
        for (const EncodeOptions options : {kSync, kPlus, kMinus}) {
            EXPECT_FALSE(source::examine(bad, {}, options));
            EXPECT_FALSE(source::login(bad, "p", options));
            EXPECT_FALSE(source::login("u", bad, options));
            EXPECT_FALSE(source::status(bad, {}, options));
            EXPECT_FALSE(source::list_pattern(bad, {}, options));
            EXPECT_FALSE(destination::create(bad, {}, options));
            EXPECT_FALSE(destination::create("a", bad, options));
            EXPECT_FALSE(destination::subscribe(bad, options));
        }
        EXPECT_FALSE(source::authenticate(bad, {}));
        EXPECT_FALSE(source::authenticate("PLAIN", bad));
        EXPECT_FALSE(encode_mailbox(bad));
        EXPECT_FALSE(is_valid_flag(bad));
        const std::string_view extensions[] = {bad};
        EXPECT_FALSE(source::enable(extensions));
        EXPECT_FALSE(source::uid_search({1, 2}, bad, true, kSync));
        EXPECT_FALSE(source::uid_search({1, 2}, "KEYWORD " + std::string(bad), true, kSync));
        EXPECT_FALSE(source::uid_fetch({1, 2}, {.header_fields = {std::string(bad)}}, {}, kSync));
    }
}

TEST(Command, Authenticate) {
    EXPECT_EQ(wire(source::authenticate("PLAIN", "AGEAYg==")), " AUTHENTICATE PLAIN AGEAYg==\r\n");
    EXPECT_EQ(wire(source::authenticate("EXTERNAL", "")), " AUTHENTICATE EXTERNAL =\r\n");
    EXPECT_EQ(wire(source::authenticate("CRAM-MD5", {})), " AUTHENTICATE CRAM-MD5\r\n");
}

TEST(Command, List) {
    EXPECT_EQ(wire(source::list({})), " LIST \"\" \"*\"\r\n");
    EXPECT_EQ(wire(source::list({.extended = true,
                                 .subscribed = true,
                                 .children = true,
                                 .special_use = true,
                                 .status = StatusItems{.highest_modseq = true, .size = true}})),
              " LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE STATUS (MESSAGES UIDNEXT "
              "UIDVALIDITY HIGHESTMODSEQ SIZE))\r\n");
    EXPECT_EQ(wire(source::list_pattern("a b/%", {}, kSync)), " LIST \"\" \"a b/%\"\r\n");
}

TEST(Command, MailboxNames) {
    EXPECT_EQ(wire(source::examine("INBOX", {}, kSync)), " EXAMINE INBOX\r\n");
    EXPECT_EQ(wire(source::examine("nil", {}, kSync)), " EXAMINE \"nil\"\r\n");
    EXPECT_EQ(wire(source::examine("a\\b\"c", {}, kSync)), " EXAMINE \"a\\\\b\\\"c\"\r\n");
    EXPECT_EQ(wire(source::examine("a*", {}, kSync)), " EXAMINE \"a*\"\r\n");
    EXPECT_EQ(wire(source::examine("\xE9", {}, kSync)), " EXAMINE {1}\r\n|\xE9\r\n");
    EXPECT_EQ(wire(source::examine("a]", {}, kSync)), " EXAMINE \"a]\"\r\n");
    EXPECT_FALSE(source::examine("", {}, kSync));
    EXPECT_FALSE(source::examine(std::string(9000, 'a'), {}, kSync));
    EXPECT_EQ(encode_mailbox("a b"), "\"a b\"");
    EXPECT_FALSE(encode_mailbox("\xE9"));
}

TEST(Command, Examine) {
    EXPECT_EQ(wire(source::examine("a", {.condstore = true}, kSync)), " EXAMINE a (CONDSTORE)\r\n");
    EXPECT_EQ(wire(source::examine("a", {.qresync = {{67, 90060115194045000}}}, kSync)),
              " EXAMINE a (QRESYNC (67 90060115194045000))\r\n");
    EXPECT_EQ(wire(source::examine("a", {.qresync = {{67, 9, 4}}}, kSync)),
              " EXAMINE a (QRESYNC (67 9 1:4))\r\n");
    EXPECT_FALSE(source::examine("a", {.qresync = {{0, 1}}}, kSync));
    EXPECT_FALSE(source::examine("a", {.qresync = {{1, 0}}}, kSync));
}

TEST(Command, UidFetch) {
    UidSet set(1, 3);
    set.add(7);
    EXPECT_EQ(wire(source::uid_fetch(set, {.body = FetchItems::Body::whole}, {}, kSync)),
              " UID FETCH 1:3,7 (UID BODY.PEEK[])\r\n");
    EXPECT_EQ(wire(source::uid_fetch(set,
                                     {.flags = true,
                                      .internal_date = true,
                                      .size = true,
                                      .modseq = true,
                                      .email_id = true,
                                      .gm_message_id = true,
                                      .gm_labels = true,
                                      .digest_sha1 = true,
                                      .header_fields = {"MESSAGE-ID", "DATE"}},
                                     12, kSync)),
              " UID FETCH 1:3,7 (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ EMAILID X-GM-MSGID "
              "X-GM-LABELS DIGEST.SHA1 BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE)]) (CHANGEDSINCE "
              "12)\r\n");
    EXPECT_EQ(wire(source::uid_fetch(set, {.flags = true}, 0, kSync)),
              " UID FETCH 1:3,7 (UID FLAGS)\r\n");
    EXPECT_FALSE(source::uid_fetch({}, {}, {}, kSync));
    EXPECT_FALSE(source::uid_fetch({1, 2}, {.header_fields = {"A]"}}, {}, kSync));
}

TEST(Command, UidSearch) {
    EXPECT_EQ(wire(source::uid_search({1, 9}, "ALL", true, kSync)),
              " UID SEARCH RETURN (ALL) UID 1:9\r\n");
    EXPECT_EQ(wire(source::uid_search({1, 9}, "KEYWORD $Junk", false, kSync)),
              " UID SEARCH UID 1:9 KEYWORD $Junk\r\n");
    EXPECT_FALSE(source::uid_search({1, 9}, "KEYWORD a b", false, kSync));
    EXPECT_FALSE(source::uid_search({1, 9}, "HEADER x y", false, kSync));
}

TEST(Command, TooLongLinesAreRefused) {
    UidSet set;
    for (std::uint32_t uid = 1; uid < 10000; uid += 2) set.add(uid);
    EXPECT_FALSE(source::uid_fetch(set, {}, {}, kSync));
    for (const UidSet& part : set.split(7000)) {
        EXPECT_TRUE(source::uid_fetch(part, {}, {}, kSync));
    }
}

TEST(Command, Destination) {
    EXPECT_EQ(wire(destination::create("Sent", "\\Sent", kSync)),
              " CREATE Sent (USE (\\Sent))\r\n");
    EXPECT_EQ(wire(destination::subscribe("a b", kSync)), " SUBSCRIBE \"a b\"\r\n");
    EXPECT_EQ(wire(destination::select("a", true, kSync)), " SELECT a (CONDSTORE)\r\n");
    const std::string_view flags[] = {"\\Seen", "$Done"};
    EXPECT_EQ(wire(destination::uid_store({4, 5}, destination::StoreMode::add, flags, {}, kSync)),
              " UID STORE 4:5 +FLAGS.SILENT (\\Seen $Done)\r\n");
    EXPECT_EQ(wire(destination::uid_store({4, 4}, destination::StoreMode::remove, flags, 9, kSync)),
              " UID STORE 4 (UNCHANGEDSINCE 9) -FLAGS.SILENT (\\Seen $Done)\r\n");
    const std::string_view recent[] = {"\\Recent"};
    EXPECT_FALSE(destination::uid_store({4, 4}, destination::StoreMode::add, recent, {}, kSync));
    EXPECT_FALSE(destination::uid_store({4, 4}, destination::StoreMode::add, {}, {}, kSync));
}

TEST(Command, DeletingMovingAndRenaming) {
    EXPECT_EQ(wire(destination::uid_expunge({4, 5}, kSync)), " UID EXPUNGE 4:5\r\n");
    EXPECT_FALSE(destination::uid_expunge({}, kSync)) << "it would be another command";
    EXPECT_EQ(wire(destination::uid_copy({4, 4}, "a b", kSync)), " UID COPY 4 \"a b\"\r\n");
    EXPECT_EQ(wire(destination::uid_move({4, 4}, "Trash", kSync)), " UID MOVE 4 Trash\r\n");
    EXPECT_FALSE(destination::uid_move({4, 4}, "", kSync));
    EXPECT_FALSE(destination::uid_copy({}, "Trash", kSync));
    EXPECT_EQ(wire(destination::rename("a", "b c", kSync)), " RENAME a \"b c\"\r\n");
    EXPECT_FALSE(destination::rename("a", "", kSync));
}

TEST(Flag, Validity) {
    for (const std::string_view good : {"\\Seen", "$Forwarded", "a.b-c_d", "\\Foo", "a[b", "a&b"}) {
        EXPECT_TRUE(is_valid_flag(good)) << good;
    }
    for (const std::string_view bad :
         {"", "\\", "\\recent", "\\RECENT", "a b", "a(b", "a)b", "a{b", "a%", "a*", "\\*", "a\"b",
          "a\\b", "a]b", "\x7F", "\xC3\xA9", "\\\\Seen"}) {
        EXPECT_FALSE(is_valid_flag(bad)) << bad;
    }
    EXPECT_TRUE(is_valid_flag(std::string(255, 'a')));
    EXPECT_FALSE(is_valid_flag(std::string(256, 'a')));
}

TEST(Append, Heads) {
    const std::string_view flags[] = {"\\Seen", "$A"};
    std::string out;
    ASSERT_TRUE(append_first(out, *encode_mailbox("a b"),
                             {.flags = flags, .internal_date = DateTime{0, 60}, .bytes = 310},
                             true));
    out += "…";
    ASSERT_TRUE(
        append_next(out, {.flags = {}, .internal_date = {}, .bytes = 7, .literal8 = true}, false));
    EXPECT_EQ(out,
              " APPEND \"a b\" (\\Seen $A) \"01-Jan-1970 01:00:00 +0100\" {310+}\r\n… ~{7}\r\n");
}

TEST(Append, NothingIsWrittenWhenAnArgumentIsWrong) {
    const std::string_view bad[] = {"\\Seen", "a)b"};
    const std::string_view recent[] = {"\\Recent"};
    std::string out = "before";
    EXPECT_FALSE(append_first(out, "INBOX", {.flags = bad, .internal_date = {}}, true));
    EXPECT_FALSE(append_first(out, "INBOX", {.flags = recent, .internal_date = {}}, true));
    EXPECT_FALSE(append_next(out, {.flags = bad, .internal_date = {}}, true));
    for (const std::string_view name :
         {"", "a b", "\"a", "\"a\"b\"", "\"a\\\"", "\"a\\n\"", "a\r\n", "\"a\nb\"", "\xE9", "\""}) {
        EXPECT_FALSE(append_first(out, name, {.flags = {}, .internal_date = {}}, true)) << name;
    }
    EXPECT_EQ(out, "before");
}

}  // namespace
}  // namespace imapult::imap
