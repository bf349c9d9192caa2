#include "provisioning/ldif.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace imapult::provisioning {
namespace {

struct Read {
    std::vector<Record> records;
    std::vector<Problem> problems;
};

Read read(std::string text, UrlReader urls = {}) {
    const auto source = memory_source(std::move(text));
    LdifReader reader(*source, std::move(urls));
    Read result;
    while (auto record = reader.next(result.problems)) result.records.push_back(std::move(*record));
    return result;
}

TEST(Ldif, FoldedLinesCommentsBase64AndCrLfAreRead) {
    const auto result = read(
        "version: 1\r\n# a comment\r\n  folded on\r\ndn: uid=a,dc=exa\r\n mple\r\n"
        "cn:: QsO8cm8=\r\ndescription: two \r\n  words\r\nempty:\r\n\r\n\r\ndn:: dWlkPWI=\r\nsn: "
        "B\r\n");
    ASSERT_EQ(result.problems.size(), 0U);
    ASSERT_EQ(result.records.size(), 2U);
    const auto& first = result.records[0];
    EXPECT_EQ(first.entry.dn, "uid=a,dc=example");
    EXPECT_EQ(first.entry.first("cn"), "B\xC3\xBCro");
    EXPECT_EQ(first.entry.first("description"), "two  words");
    EXPECT_EQ(first.entry.first("empty"), "");
    EXPECT_EQ(first.where.line, 4U);
    EXPECT_EQ(first.last_line, 9U);
    EXPECT_EQ(result.records[1].entry.dn, "uid=b");
    EXPECT_EQ(result.records[1].where.line, 12U);
}

TEST(Ldif, BrokenLinesAreReportedWithLineAndCureAndCostOnlyTheirEntry) {
    const auto result = read(
        "dn: uid=a\ncn: A\n\ndn: uid=b\nno colon here\ncn: B\n\ndn: uid=c\ncn:: ***\n\n"
        "cn: without dn\n\ndn: uid=d\ncn: D\ndn: uid=e\ncn: E\n");
    ASSERT_EQ(result.records.size(), 3U);
    EXPECT_EQ(result.records[1].entry.dn, "uid=d");
    EXPECT_EQ(result.records[2].entry.dn, "uid=e");
    ASSERT_EQ(result.problems.size(), 4U);
    EXPECT_EQ(result.problems[0].line, 5U);
    EXPECT_EQ(result.problems[0].dn, "uid=b");
    EXPECT_NE(result.problems[0].what.find("begin it with one space"), std::string::npos);
    EXPECT_EQ(result.problems[1].line, 9U);
    EXPECT_EQ(result.problems[2].line, 11U);
    EXPECT_EQ(result.problems[3].line, 15U);
}

TEST(Ldif, ChangeRecordsAreUnderstood) {
    const auto result = read(
        "dn: cn=g\nchangetype: modify\nadd: member\nmember: a\nmember: b\n-\nreplace: cn\ncn: "
        "x\n-\n"
        "delete: description\n-\n\ndn: cn=h\nchangetype: delete\n\ndn: cn=i\nchangetype: modrdn\n"
        "newrdn: cn=j\ndeleteoldrdn: 1\n\ndn: cn=k\nchangetype: add\ncn: k\n");
    ASSERT_EQ(result.problems.size(), 0U);
    ASSERT_EQ(result.records.size(), 4U);
    const auto& modify = result.records[0];
    ASSERT_EQ(modify.change, ChangeType::modify);
    ASSERT_EQ(modify.modifications.size(), 3U);
    EXPECT_EQ(modify.modifications[0].attribute.values.size(), 2U);
    EXPECT_EQ(modify.modifications[1].op, Modification::Op::replace);
    EXPECT_TRUE(modify.modifications[2].attribute.values.empty());
    EXPECT_EQ(result.records[1].change, ChangeType::remove);
    EXPECT_EQ(result.records[2].change, ChangeType::rename);
    EXPECT_EQ(result.records[3].change, ChangeType::add);
}

TEST(Ldif, Utf16WithByteOrderMarkIsReadAndCanBeReadAgainFromTheMiddle) {
    const std::u16string text =
        u"dn: CN=Ann\r\ncn: Büro \U0001F4EE\r\n\r\ndn: CN=Bob\r\ncn: Bob\r\n";
    for (const bool little : {true, false}) {
        std::string bytes = little ? "\xFF\xFE" : "\xFE\xFF";
        for (const char16_t unit : text) {
            const char low = static_cast<char>(unit & 0xFF);
            const char high = static_cast<char>(unit >> 8);
            bytes += little ? low : high;
            bytes += little ? high : low;
        }
        const auto source = memory_source(bytes);
        LdifReader reader(*source, {});
        std::vector<Problem> problems;
        const auto first = reader.next(problems);
        const auto second = reader.next(problems);
        ASSERT_TRUE(first && second);
        EXPECT_EQ(first->entry.first("cn"), "B\xC3\xBCro \xF0\x9F\x93\xAE");
        EXPECT_EQ(second->entry.dn, "CN=Bob");
        reader.seek(first->where);
        EXPECT_EQ(reader.next(problems)->entry.dn, "CN=Ann");
        reader.seek(second->where);
        const auto again = reader.next(problems);
        EXPECT_EQ(again->entry.dn, "CN=Bob");
        EXPECT_EQ(again->where.line, second->where.line);
        EXPECT_TRUE(problems.empty());
    }
}

TEST(Ldif, UrlValuesAreReadOnlyFromBesideTheFile) {
    namespace fs = std::filesystem;
    const auto folder = fs::temp_directory_path() / ("imapult-url-" + std::to_string(::getpid()));
    fs::create_directories(folder / "in");
    std::ofstream(folder / "in" / "photo") << "octets";
    std::ofstream(folder / "secret") << "secret";
    fs::create_symlink(folder / "secret", folder / "in" / "link");
    const auto urls = file_urls_below((folder / "in").string());
    const auto text = [&](const char* name) {
        return "dn: uid=a\njpegPhoto:< file://" + (folder / name).string() + "\n";
    };
    EXPECT_EQ(read(text("in/photo"), urls).records.at(0).entry.first("jpegphoto"), "octets");
    for (const auto* name : {"secret", "in/../secret", "in/link", "in/absent"}) {
        const auto result = read(text(name), urls);
        EXPECT_TRUE(result.records.empty()) << name;
        EXPECT_EQ(result.problems.size(), 1U) << name;
    }
    EXPECT_EQ(read("dn: uid=a\nx:< http://example.com/\n", urls).problems.size(), 1U);
    fs::remove_all(folder);
}

TEST(Ldif, LinesAcrossReadBlocksKeepTheirPlaces) {
    std::string text;
    for (int i = 0; i < 4000; ++i) {
        text +=
            "dn: uid=user" + std::to_string(i) + "\ndescription: " + std::string(300, 'x') + "\n\n";
    }
    const auto result = read(text);
    ASSERT_EQ(result.records.size(), 4000U);
    const auto source = memory_source(text);
    LdifReader reader(*source, {});
    std::vector<Problem> problems;
    for (const std::size_t i : {3999U, 0U, 2500U}) {
        reader.seek(result.records[i].where);
        EXPECT_EQ(reader.next(problems)->entry.dn, "uid=user" + std::to_string(i));
        EXPECT_EQ(result.records[i].where.line, 3 * i + 1);
    }
}

}  // namespace
}  // namespace imapult::provisioning
