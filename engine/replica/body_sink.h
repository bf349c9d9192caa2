#pragma once
// Takes message bodies as they come from the source and puts them into groups, in front of each its
// APPEND head: what is written to the destination later is this very buffer.

#include <deque>
#include <memory>

#include "engine/replica/lane.h"

namespace imapult::replica {

class BodySink final : public session::Sink {
  public:
    BodySink(Lane& lane, std::shared_ptr<Job> job, std::shared_ptr<Window> window, Care care)
        : lane_(&lane), job_(std::move(job)), window_(std::move(window)), care_(care) {}

    bool on_untagged(const imap::Event& event) override;
    bool on_body_begin(const imap::BodyBegin& begin) override;
    void on_body_chunk(const imap::BodyChunk& chunk) override;
    bool blocked() override;
    Task<void> wait() override;
    void on_connection_lost() override { lane_->wake(); }

  private:
    enum class Mode : std::uint8_t { none, group, stream, discard };
    void begin_in_group(std::uint64_t bytes);
    void begin_stream(std::uint64_t bytes);
    void take_out(Group& group);
    [[nodiscard]] bool is_stand_in(std::string_view body) const;
    void stand_in(Group& group);
    void end_message(const imap::Fetch& fetch);
    [[nodiscard]] imap::AppendItem append_item(std::uint64_t bytes);
    [[nodiscard]] std::size_t expected() const;
    bool find_meta(std::uint32_t uid);
    [[nodiscard]] bool buffer_is_full() const;

    Lane* lane_;
    std::shared_ptr<Job> job_;
    std::shared_ptr<Window> window_;
    Care care_;
    Mode mode_ = Mode::none;
    std::uint32_t uid_ = 0;         ///< of the body that is coming in
    std::size_t window_index_ = 0;  ///< its place in the window
    std::size_t meta_index_ = 0;    ///< its place in Job::todo
    std::uint64_t bytes_ = 0;
    std::size_t item_begin_ = 0;  ///< where its head starts in the group's buffer
    std::size_t body_begin_ = 0;
    bool is_new_kind_ = false;
    mutable bool internal_data_ = false;  ///< what is_stand_in() found
    std::shared_ptr<Group> group_;
    std::vector<std::string_view> words_;
    Flags flags_;
    Nanos not_before_{0};  ///< rate limit
};

/// Dates that every server takes as they are: 1970-01-02 to 2037-12-31.
inline constexpr std::int64_t kPlainDateFirst = 86'400;
inline constexpr std::int64_t kPlainDateLast = 2'145'830'400;

}  // namespace imapult::replica
