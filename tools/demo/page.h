#pragma once
// What the demo prints: plain text in one column, bold and green where a terminal shows it.

#include <string>
#include <string_view>

namespace imapult::demo {

class Page {
  public:
    explicit Page(int descriptor);

    void line(std::string_view text = "");
    /// "1  migrate   six accounts at once"
    void step(int number, std::string_view name, std::string_view text);
    void good(std::string_view text);
    void bad(std::string_view text);
    /// Something to look at or to type.
    [[nodiscard]] std::string strong(std::string_view text) const;
    [[nodiscard]] std::string faint(std::string_view text) const;

  private:
    [[nodiscard]] std::string styled(std::string_view style, std::string_view text) const;
    int descriptor_;
    bool colours_;
};

}  // namespace imapult::demo
