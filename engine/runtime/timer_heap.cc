#include "engine/runtime/timer_heap.h"

namespace imapult::runtime {

TimerId TimerHeap::add(Nanos due, Callback callback) {
    std::uint32_t slot = 0;
    if (free_.empty()) {
        slot = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    Slot& timer = slots_[slot];
    timer.due = due;
    timer.order = added_++;
    timer.callback = callback;
    heap_.push_back(slot);
    const auto place = static_cast<std::uint32_t>(heap_.size() - 1);
    timer.place = place;
    sift_up(place);
    // The generation is never 0, so neither is an id.
    return (static_cast<TimerId>(slots_[slot].generation) << 32) | slot;
}

void TimerHeap::cancel(TimerId id) {
    const auto slot = static_cast<std::uint32_t>(id);
    const auto generation = static_cast<std::uint32_t>(id >> 32);
    if (slot >= slots_.size()) return;
    if (slots_[slot].generation != generation || slots_[slot].place == kFree) return;
    remove_at(slots_[slot].place);
}

std::optional<Nanos> TimerHeap::next_due() const {
    if (heap_.empty()) return std::nullopt;
    return slots_[heap_.front()].due;
}

std::optional<Callback> TimerHeap::take_due(Nanos now) {
    if (heap_.empty() || slots_[heap_.front()].due > now) return std::nullopt;
    const Callback callback = slots_[heap_.front()].callback;
    remove_at(0);
    return callback;
}

bool TimerHeap::before(std::uint32_t a, std::uint32_t b) const {
    const Slot& x = slots_[a];
    const Slot& y = slots_[b];
    return x.due != y.due ? x.due < y.due : x.order < y.order;
}

void TimerHeap::put(std::uint32_t place, std::uint32_t slot) {
    heap_[place] = slot;
    slots_[slot].place = place;
}

void TimerHeap::sift_up(std::uint32_t place) {
    const std::uint32_t slot = heap_[place];
    while (place > 0) {
        const std::uint32_t parent = (place - 1) / 2;
        if (!before(slot, heap_[parent])) break;
        put(place, heap_[parent]);
        place = parent;
    }
    put(place, slot);
}

void TimerHeap::sift_down(std::uint32_t place) {
    const std::uint32_t slot = heap_[place];
    const auto size = static_cast<std::uint32_t>(heap_.size());
    for (;;) {
        std::uint32_t child = 2 * place + 1;
        if (child >= size) break;
        if (child + 1 < size && before(heap_[child + 1], heap_[child])) ++child;
        if (!before(heap_[child], slot)) break;
        put(place, heap_[child]);
        place = child;
    }
    put(place, slot);
}

void TimerHeap::remove_at(std::uint32_t place) {
    const std::uint32_t slot = heap_[place];
    const std::uint32_t last = heap_.back();
    heap_.pop_back();
    if (last != slot) {
        put(place, last);
        sift_up(place);
        sift_down(slots_[last].place);
    }
    slots_[slot].place = kFree;
    if (++slots_[slot].generation == 0) slots_[slot].generation = 1;
    free_.push_back(slot);
}

}  // namespace imapult::runtime
