#pragma once
// Standard error, shared by log lines, plain progress and the live display so that none of them
// writes into another. The terminal is left in its normal state after every write: no clean-up is
// owed, whatever ends the program.

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tools/imapult/display.h"

namespace imapult::program {

class Console {
  public:
    explicit Console(int descriptor);
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    /// A terminal that understands cursor movement.
    [[nodiscard]] bool is_terminal() const { return is_terminal_; }
    /// Colours: on a terminal, unless NO_COLOR is set (no-color.org) or TERM is dumb.
    [[nodiscard]] bool colours() const { return colours_; }
    /// The present size; 80x24 if it cannot be told.
    [[nodiscard]] Screen screen() const;

    /// One whole line, already printable; the live display moves down. Thread-safe.
    void print(std::string_view line);
    /// Replaces the live display. Thread-safe.
    void draw(const std::vector<std::string>& lines);
    /// Takes the live display away. Thread-safe.
    void clear() { draw({}); }

  private:
    void write_all(std::string_view bytes) const;
    /// Moves to the start of the live display and erases from there on.
    [[nodiscard]] std::string erase() const;

    int descriptor_;
    bool is_terminal_;
    bool colours_;
    std::mutex mutex_;
    std::vector<std::string> live_;
};

}  // namespace imapult::program
