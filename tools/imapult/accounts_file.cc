#include "tools/imapult/accounts_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "engine/base/text.h"
#include "tools/imapult/csv.h"

namespace imapult::program {
namespace {

constexpr std::size_t kFileBytesMax = 256ULL * 1024 * 1024;
constexpr std::size_t kAccountsMax = 1'000'000;
constexpr std::size_t kErrorsMax = 100;
constexpr std::size_t kUserBytesMax = 1024;
constexpr std::size_t kPasswordBytesMax = 4096;

enum class Column : std::uint8_t {
    source_user,
    destination_user,
    source_password,
    destination_password,
    source_url,
    destination_url,
    source_host,
    source_port,
    source_security,
    destination_host,
    destination_port,
    destination_security,
    ignored,
};

struct ColumnName {
    std::string_view name;
    Column column;
};

/// Ours, then the ten columns of MailFerry, then the three that Exchange Online takes.
constexpr std::array kColumnNames = {
    ColumnName{"source_user", Column::source_user},
    ColumnName{"destination_user", Column::destination_user},
    ColumnName{"source_password", Column::source_password},
    ColumnName{"destination_password", Column::destination_password},
    ColumnName{"source_url", Column::source_url},
    ColumnName{"destination_url", Column::destination_url},
    ColumnName{"srchost", Column::source_host},
    ColumnName{"srcport", Column::source_port},
    ColumnName{"srcsecurity", Column::source_security},
    ColumnName{"srcuser", Column::source_user},
    ColumnName{"srcpassword", Column::source_password},
    ColumnName{"dsthost", Column::destination_host},
    ColumnName{"dstport", Column::destination_port},
    ColumnName{"dstsecurity", Column::destination_security},
    ColumnName{"dstuser", Column::destination_user},
    ColumnName{"dstpassword", Column::destination_password},
    ColumnName{"emailaddress", Column::destination_user},
    ColumnName{"username", Column::source_user},
    ColumnName{"password", Column::source_password},
};
constexpr std::array kTenColumns = {Column::source_host,      Column::source_port,
                                    Column::source_security,  Column::source_user,
                                    Column::source_password,  Column::destination_host,
                                    Column::destination_port, Column::destination_security,
                                    Column::destination_user, Column::destination_password};
constexpr std::array kImapsyncColumns = {Column::source_host,      Column::source_user,
                                         Column::source_password,  Column::destination_host,
                                         Column::destination_user, Column::destination_password};

std::optional<Column> column_of(std::string_view name) {
    const std::string folded = to_lower(trim(name));
    for (const ColumnName& known : kColumnNames) {
        if (known.name == folded) return known.column;
    }
    return std::nullopt;
}

/// Nothing that looks like several fields: a password must not be taken for part of a name.
bool is_address(std::string_view text) {
    return text.contains('@') && text.find_first_of(" \t;,\"'") == std::string_view::npos;
}

/// How the file is to be read.
struct Layout {
    char separator = ',';
    bool has_header = false;
    std::vector<Column> columns;
    std::size_t extra_columns = 0;  ///< allowed behind the named ones and ignored
    bool addresses_only = false;    ///< a plain list: anything but an address is an error
};

class Parser {
  public:
    Parser(std::string_view text, std::string_view file_name)
        : text_(text), file_name_(printable(file_name)) {}

    std::expected<AccountsFile, AccountErrors> parse() {
        if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
        if (check_encoding()) {
            if (const auto layout = find_layout()) read_rows(*layout);
        }
        if (errors_.empty() && file_.rows.empty()) error(1, "there is no account in it", "add one");
        if (hidden_errors_ > 0) {
            errors_.push_back(
                fmt::format("{}: {} more errors like these", file_name_, hidden_errors_));
        }
        if (!errors_.empty()) return std::unexpected(std::move(errors_));
        return std::move(file_);
    }

  private:
    void error(std::size_t line, std::string_view what, std::string_view cure) {
        if (errors_.size() >= kErrorsMax) {
            ++hidden_errors_;
            return;
        }
        errors_.push_back(fmt::format("{}:{}: {}; {}", file_name_, line, what, cure));
    }

    bool check_encoding() {
        if (text_.starts_with("\xFF\xFE") || text_.starts_with("\xFE\xFF")) {
            error(1, "the file is UTF-16", "save it as UTF-8");
            return false;
        }
        std::string_view rest = text_;
        for (std::size_t line = 1; !rest.empty(); ++line) {
            const std::size_t end = std::min(rest.find('\n'), rest.size());
            const std::string_view content = rest.substr(0, end);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            if (content.find('\0') != std::string_view::npos) {
                error(line, "the line holds a NUL character", "save the file as plain UTF-8 text");
            } else if (!is_utf8(content)) {
                error(line, "the line is not UTF-8", "save the file as UTF-8");
            }
        }
        return errors_.empty();
    }

    /// Looks at the first line that is no comment.
    std::optional<Layout> find_layout() {
        std::string_view rest = text_;
        std::string_view first;
        std::size_t line = 0;
        while (!rest.empty() && (first.empty() || first[0] == '#')) {
            const std::size_t end = std::min(rest.find('\n'), rest.size());
            first = trim(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
            ++line;
        }
        if (first.empty() || first[0] == '#') return Layout{};  // no row at all
        for (const char separator : {',', ';'}) {
            CsvRecord record;
            CsvReader reader(first, separator);
            const auto got = reader.next(record);
            if (!got) continue;
            if (std::ranges::any_of(record.fields, [](const std::string& name) {
                    return column_of(name).has_value() && !name.contains('@');
                })) {
                return read_header(record, separator, line);
            }
            if (auto layout = layout_without_header(record, separator)) return layout;
        }
        error(line, "this is none of the known forms of an accounts file",
              "begin with a header such as source_user,destination_user,source_password");
        return std::nullopt;
    }

    static std::optional<Layout> layout_without_header(const CsvRecord& record, char separator) {
        const std::size_t count = record.fields.size();
        if (separator == ';' && count >= kImapsyncColumns.size()) {
            Layout layout{
                separator, false, {kImapsyncColumns.begin(), kImapsyncColumns.end()}, 64, false};
            // The line by which imapsync's documentation names the form.
            layout.has_header = record.fields[0] == "host1" && record.fields[1] == "user1";
            return layout;
        }
        const bool ten = count == kTenColumns.size() && parse_number(record.fields[1]) &&
                         parse_number(record.fields[6]);
        if (ten)
            return Layout{separator, false, {kTenColumns.begin(), kTenColumns.end()}, 0, false};
        if (count == 1 && is_address(record.fields[0])) {
            return Layout{separator, false, {Column::source_user}, 0, true};
        }
        return std::nullopt;
    }

    std::optional<Layout> read_header(const CsvRecord& record, char separator, std::size_t line) {
        Layout layout{separator, true, {}, 0, false};
        for (std::size_t i = 0; i < record.fields.size(); ++i) {
            const auto column = column_of(record.fields[i]);
            if (!column) {
                error(line, fmt::format("column {} has an unknown name", i + 1),
                      "known are source_user, destination_user, source_password, "
                      "destination_password, source_url, destination_url");
                continue;
            }
            if (std::ranges::find(layout.columns, *column) != layout.columns.end()) {
                error(line, fmt::format("column {} is there twice", i + 1), "remove one");
            }
            layout.columns.push_back(*column);
        }
        if (std::ranges::find(layout.columns, Column::source_user) == layout.columns.end()) {
            error(line, "the column source_user is missing", "add it");
        }
        if (!errors_.empty()) return std::nullopt;
        return layout;
    }

    void read_rows(const Layout& layout) {
        CsvReader reader(text_, layout.separator);
        CsvRecord record;
        for (bool first = true;; first = false) {
            const auto got = reader.next(record);
            if (!got) {
                error(reader.line(), got.error().text, "check the quotes of this line");
                continue;
            }
            if (!*got) break;
            if (first && layout.has_header) continue;
            if (file_.rows.size() >= kAccountsMax) {
                error(record.line, "there are more than a million accounts", "split the file");
                break;
            }
            read_row(layout, record);
            for (std::string& field : record.fields) Secret::wipe(field);
        }
    }

    void read_row(const Layout& layout, CsvRecord& record) {
        // A separator at the end of the line (imapsync's form has one) makes no column.
        while (record.fields.size() > layout.columns.size() && record.fields.back().empty()) {
            record.fields.pop_back();
        }
        const std::size_t count = record.fields.size();
        if (count < layout.columns.size() || count > layout.columns.size() + layout.extra_columns) {
            error(record.line,
                  fmt::format("the row has {} fields and should have {}", count,
                              layout.columns.size()),
                  fmt::format("separate the fields with {} and put fields that hold one, or a \", "
                              "in double quotes",
                              layout.separator));
            return;
        }
        if (count > layout.columns.size()) {
            file_.warnings.push_back(fmt::format(
                "{}:{}: what stands behind the sixth field is ignored; imapsync's own options are "
                "given on imapult's command line",
                file_name_, record.line));
        }
        const std::string& first = record.fields[0];
        if (layout.addresses_only && !is_address(first)) {
            error(record.line, "the line is not an address, as the lines before it are",
                  "write one address a line, or begin the file with a header such as "
                  "source_user;source_password");
            return;
        }
        const std::size_t errors_before = errors_.size() + hidden_errors_;
        AccountRow row;
        row.line = record.line;
        for (std::size_t i = 0; i < layout.columns.size(); ++i) {
            read_field(layout.columns[i], record.fields[i], row);
        }
        if (row.source_user.empty()) error(row.line, "the source user is empty", "fill it in");
        if (row.destination_user.empty()) row.destination_user = row.source_user;
        check_endpoint(row.source, row.line, "source");
        check_endpoint(row.destination, row.line, "destination");
        if (errors_.size() + hidden_errors_ != errors_before) return;
        check_duplicates(row);
        file_.rows.push_back(std::move(row));
    }

    void read_field(Column column, const std::string& value, AccountRow& row) {
        if (value.empty()) return;
        switch (column) {
            case Column::source_user:
                row.source_user = user(value, row.line, "source");
                break;
            case Column::destination_user:
                row.destination_user = user(value, row.line, "destination");
                break;
            case Column::source_password:
                row.source_password = password(value, row.line, "source");
                break;
            case Column::destination_password:
                row.destination_password = password(value, row.line, "destination");
                break;
            case Column::source_url:
                url(value, row.line, "source_url", row.source);
                break;
            case Column::destination_url:
                url(value, row.line, "destination_url", row.destination);
                break;
            case Column::source_host:
                host(value, row.line, "source", row.source);
                break;
            case Column::destination_host:
                host(value, row.line, "destination", row.destination);
                break;
            case Column::source_port:
                port(value, row.line, "source", row.source);
                break;
            case Column::destination_port:
                port(value, row.line, "destination", row.destination);
                break;
            case Column::source_security:
                security(value, row.line, "source", row.source);
                break;
            case Column::destination_security:
                security(value, row.line, "destination", row.destination);
                break;
            case Column::ignored:
                break;
        }
    }

    std::string user(const std::string& value, std::size_t line, std::string_view side) {
        const bool control = std::ranges::any_of(
            value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
        if (control || value.size() > kUserBytesMax) {
            error(line, fmt::format("the {} user holds control characters or is too long", side),
                  "write it as it is typed at log-in");
            return "?";
        }
        return value;
    }

    Secret password(const std::string& value, std::size_t line, std::string_view side) {
        if (value.size() > kPasswordBytesMax || value.find_first_of("\r\n") != std::string::npos) {
            error(line, fmt::format("the {} password has a line end in it or is too long", side),
                  "check the quotes of this line");
        }
        return Secret(value);
    }

    void url(const std::string& value, std::size_t line, std::string_view column,
             std::optional<EndpointUrl>& endpoint) {
        auto parsed = parse_endpoint_url(value);
        if (!parsed) {
            error(line, fmt::format("the {}: {}", column, parsed.error().text),
                  "correct the URL in this row");
            return;
        }
        if (!parsed->user.empty()) {
            error(line, fmt::format("the {} holds a user", column),
                  "users stand in the columns source_user and destination_user");
            return;
        }
        endpoint = std::move(*parsed);
    }

    void host(const std::string& value, std::size_t line, std::string_view side,
              std::optional<EndpointUrl>& endpoint) {
        if (value.contains("://")) return url(value, line, fmt::format("{} host", side), endpoint);
        const auto parsed = parse_host(value);
        if (!parsed) {
            error(line, fmt::format("the {} side: {}", side, parsed.error().text),
                  "check the row's fields and their order");
            return;
        }
        if (!endpoint) endpoint.emplace();
        endpoint->host = *parsed;
    }

    void port(const std::string& value, std::size_t line, std::string_view side,
              std::optional<EndpointUrl>& endpoint) {
        const auto parsed = parse_port(value);
        if (!parsed) {
            error(line, fmt::format("the {} side: {}", side, parsed.error().text),
                  "check the row's fields and their order");
            return;
        }
        if (!endpoint) endpoint.emplace();
        endpoint->port = *parsed;
    }

    void security(const std::string& value, std::size_t line, std::string_view side,
                  std::optional<EndpointUrl>& endpoint) {
        constexpr std::array<std::pair<std::string_view, TlsMode>, 11> kNames = {{
            {"ssl", TlsMode::implicit},
            {"tls", TlsMode::implicit},
            {"ssl/tls", TlsMode::implicit},
            {"imaps", TlsMode::implicit},
            {"implicit", TlsMode::implicit},
            {"starttls", TlsMode::starttls},
            {"none", TlsMode::off},
            {"plain", TlsMode::off},
            {"off", TlsMode::off},
            {"insecure", TlsMode::off},
            {"no", TlsMode::off},
        }};
        const auto* const found = std::ranges::find(kNames, to_lower(value),
                                                    [](const auto& entry) { return entry.first; });
        if (found == kNames.end()) {
            error(line, fmt::format("the {} security is not known", side),
                  "write ssl, starttls or none");
            return;
        }
        if (!endpoint) endpoint.emplace();
        endpoint->tls = found->second;
    }

    void check_endpoint(const std::optional<EndpointUrl>& endpoint, std::size_t line,
                        std::string_view side) {
        if (endpoint && endpoint->host.empty()) {
            error(line,
                  fmt::format("the {} host is empty although its port or security is given", side),
                  "fill it in");
        }
    }

    static std::string place(const std::optional<EndpointUrl>& endpoint, const std::string& user) {
        const std::string where =
            endpoint ? fmt::format("{}:{}", endpoint->host, endpoint->port.value_or(0)) : "";
        return to_lower(user) + '\0' + where;
    }

    void check_duplicates(const AccountRow& row) {
        const auto [source, new_source] =
            sources_.try_emplace(place(row.source, row.source_user), row.line);
        if (!new_source) {
            error(row.line, fmt::format("the same source account as in line {}", source->second),
                  "remove one of the two");
            return;
        }
        const auto [destination, new_destination] =
            destinations_.try_emplace(place(row.destination, row.destination_user), row.line);
        if (!new_destination) {
            error(row.line,
                  fmt::format("the same destination account as in line {}", destination->second),
                  "remove one of the two; to pour two accounts into one, copy them one after the "
                  "other");
        }
    }

    std::string_view text_;
    std::string file_name_;
    AccountsFile file_;
    AccountErrors errors_;
    std::size_t hidden_errors_ = 0;
    std::map<std::string, std::size_t> sources_;
    std::map<std::string, std::size_t> destinations_;
};

}  // namespace

std::expected<AccountsFile, AccountErrors> parse_accounts(std::string_view text,
                                                          std::string_view file_name) {
    return Parser(text, file_name).parse();
}

std::expected<AccountsFile, AccountErrors> read_accounts_file(const std::string& path) {
    const auto refuse = [&](std::string_view why) {
        return std::unexpected(AccountErrors{
            fmt::format("{}: the accounts file cannot be read: {}", printable(path), why)});
    };
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return refuse(std::strerror(errno));
    struct stat status{};
    const bool known = fstat(fd, &status) == 0;
    std::string text;
    std::string block(64 * 1024, '\0');
    ssize_t got = 0;
    while (text.size() <= kFileBytesMax) {
        got = read(fd, block.data(), block.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        text.append(block, 0, static_cast<std::size_t>(got));
    }
    const int failure = got < 0 ? errno : 0;
    close(fd);
    Secret::wipe(block);
    if (failure != 0) return refuse(std::strerror(failure));
    if (text.size() > kFileBytesMax) return refuse("it is larger than 256 MiB");
    auto file = parse_accounts(text, path);
    Secret::wipe(text);
    const bool open_to_others =
        known && S_ISREG(status.st_mode) && (status.st_mode & (S_IRGRP | S_IROTH)) != 0;
    if (file && open_to_others) {
        file->warnings.push_back(fmt::format(
            "{}: other users can read the accounts file; chmod 600 cures it", printable(path)));
    }
    return file;
}

}  // namespace imapult::program
