#pragma once
// Files and folders that go away with the test.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace imapult::program {

class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string pattern = ::testing::TempDir() + "imapult-XXXXXX";
        path_ = mkdtemp(pattern.data());
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    [[nodiscard]] std::string path(std::string_view name = "") const {
        return path_ + (name.empty() ? "" : "/" + std::string(name));
    }
    std::string write(std::string_view name, std::string_view text, mode_t mode = 0600) const {
        std::ofstream(path(name), std::ios::binary) << text;
        chmod(path(name).c_str(), mode);
        return path(name);
    }
    [[nodiscard]] std::string read(std::string_view name) const {
        std::ifstream file(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

  private:
    std::string path_;
};

}  // namespace imapult::program
