#pragma once
// Who a person of the source is at the destination: for rights, and for other users' mailboxes.

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace imapult::replica {

class People {
  public:
    /// An account of this run.
    void add(std::string_view source_user, std::string_view destination_user);
    /// By the whole name, else by the part before an @ where only one account has it.
    [[nodiscard]] std::optional<std::string> find(std::string_view source_name) const;
    [[nodiscard]] bool knows(std::string_view source_name) const {
        return find(source_name).has_value();
    }

  private:
    std::map<std::string, std::string, std::less<>> whole_;
    /// Without a value: two accounts have this local part.
    std::map<std::string, std::optional<std::string>, std::less<>> local_;
};

/// One account's view of them.
struct Translation {
    const People* people = nullptr;
    std::string source_user, destination_user;  ///< of the account

    /// What `source_name` is called at the destination: as the run's accounts say; else with or
    /// without a domain like the account itself.
    [[nodiscard]] std::string of(std::string_view source_name) const;
    /// The account itself, with or without its domain.
    [[nodiscard]] bool is_self(std::string_view source_name) const;
};

}  // namespace imapult::replica
