#pragma once
// A stand-in Carbonio in this process, source files in a temporary directory, and runs against it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/ucnv.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "importers/run.h"
#include "tools/carbonio_standin/http_server.h"
#include "tools/carbonio_standin/server.h"

namespace imapult::importers_test {

namespace fs = std::filesystem;
using nlohmann::json;

/// UTF-8 text in another charset.
inline std::string to_charset(const std::string& text, const char* charset) {
    std::string out(text.size() * 4 + 16, '\0');
    UErrorCode status = U_ZERO_ERROR;
    const int length = ucnv_convert(charset, "UTF-8", out.data(), static_cast<int>(out.size()),
                                    text.data(), static_cast<int>(text.size()), &status);
    EXPECT_TRUE(U_SUCCESS(status)) << charset;
    out.resize(static_cast<std::size_t>(length));
    return out;
}

class World : public testing::Test {
  protected:
    World() {
        std::string name = (fs::temp_directory_path() / "imapult-importers-XXXXXX").string();
        root_ = ::mkdtemp(name.data());
        fs::create_directories(root_ / "in");
        start({});
    }
    ~World() override {
        stop();
        fs::remove_all(root_);
    }

    void start(standin::Settings settings) {
        stop();
        settings.accounts = {{"alice@example.com", "pw-a"}, {"bob@example.com", "pw-b"}};
        server_ = std::make_unique<standin::Server>(settings);
        user_ = std::make_unique<standin::HttpServer>(
            "127.0.0.1", 0, "", "",
            [this](const standin::HttpRequest& r) { return server_->handle(r, false); });
        admin_ = std::make_unique<standin::HttpServer>(
            "127.0.0.1", 0, "", "",
            [this](const standin::HttpRequest& r) { return server_->handle(r, true); });
    }
    void stop() {
        user_.reset();
        admin_.reset();
        server_.reset();
    }

    void write(const std::string& name, const std::string& text) {
        fs::create_directories((root_ / "in" / name).parent_path());
        std::ofstream(root_ / "in" / name, std::ios::binary) << text;
    }
    static std::string read(const fs::path& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void fault(const json& what) {
        standin::HttpRequest request;
        request.method = "POST";
        request.path = "/standin/faults";
        request.body = what.dump();
        server_->handle(request, true);
    }
    json stats() {
        standin::HttpRequest request;
        request.path = "/standin/stats";
        return json::parse(server_->handle(request, true).body);
    }
    std::string exported(const std::string& account, const std::string& folder,
                         const std::string& format) {
        standin::HttpRequest request;
        request.method = "GET";
        request.path = "/service/home/" + account + "/" + folder;
        request.query["fmt"] = format;
        request.headers["authorization"] = "Basic YWRtaW5AZXhhbXBsZS5jb206YWRtaW4tc2VjcmV0";
        return server_->handle(request, true).body;
    }

    importers::RunOptions options(importers::What what) {
        importers::RunOptions o;
        o.what = what;
        o.mode = importers::Mode::upload;
        o.inputs.from = {(root_ / "in").string()};
        o.out = (root_ / "out").string();
        o.state_directory = (root_ / "state").string();
        o.carbonio.user_side = *http::parse_endpoint(user_->url(), false);
        o.carbonio.admin_side = *http::parse_endpoint(admin_->url(), false);
        o.carbonio.import_as = importers::ImportAs::delegate;
        o.carbonio.admin_name = "admin@example.com";
        o.carbonio.admin_password = Secret("admin-secret");
        o.http.backoff_first = std::chrono::milliseconds{1};
        o.quiet = true;
        return o;
    }
    static importers::RunReport run(const importers::RunOptions& o) {
        std::atomic<bool> stop{false};
        std::atomic<int> signal{0};
        importers::RunReport report = importers::run_import(o, stop, signal);
        const importers::ItemCounts c = report.total();
        EXPECT_EQ(c.source, c.already_there + c.sent + c.merged + c.refused) << report.text();
        EXPECT_LE(c.repaired, c.sent);
        return report;
    }
    importers::RunReport calendars() { return run(options(importers::What::calendars)); }
    importers::RunReport contacts() { return run(options(importers::What::contacts)); }

    fs::path root_;
    std::unique_ptr<standin::Server> server_;
    std::unique_ptr<standin::HttpServer> user_;
    std::unique_ptr<standin::HttpServer> admin_;
};

inline std::string event(const std::string& uid, const std::string& more = "SUMMARY:A\r\n") {
    return "BEGIN:VEVENT\r\nUID:" + uid +
           "\r\nDTSTART:20260105T090000Z\r\nDTEND:20260105T100000Z\r\n" + more + "END:VEVENT\r\n";
}
inline std::string calendar(const std::string& inner, const std::string& head = "") {
    return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + head + inner + "END:VCALENDAR\r\n";
}

}  // namespace imapult::importers_test
