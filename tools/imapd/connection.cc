#include "tools/imapd/connection.h"

#include "tools/imapd/session.h"

namespace imapult::imapd {

Connection::Connection(Store& store, Transport transport)
    : session_(std::make_unique<Session>(store, transport)) {}
Connection::~Connection() = default;
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;

void Connection::feed(std::string_view bytes) {
    session_->feed(bytes);
}
bool Connection::wants_input() const {
    return session_->wants_input();
}
bool Connection::has_output() const {
    return session_->has_output();
}
std::size_t Connection::read_output(std::string& out, std::size_t bytes_max) {
    return session_->read_output(out, bytes_max);
}
std::string Connection::take_output(std::size_t bytes_max) {
    std::string out;
    session_->read_output(out, bytes_max);
    return out;
}
bool Connection::wants_close() const {
    return session_->wants_close();
}
bool Connection::wants_reset() const {
    return session_->wants_reset();
}
Handover Connection::handover() const {
    return session_->handover();
}
std::string Connection::handover_done() {
    return session_->handover_done();
}
void Connection::poll() {
    session_->poll();
}
bool Connection::idling() const {
    return session_->idling();
}

}  // namespace imapult::imapd
