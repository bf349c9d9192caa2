#pragma once
// Transcripts: what a server sends and the events it must give, in one readable file.
//
//     # comment
//     S: a line of the server (CRLF is added; \xNN is an octet, \\ a backslash)
//     E: the event it gives, as in event_text.h
//     Q: name count, a quirk seen in the whole transcript

#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace imapult::imap::testing {

struct Transcript {
    std::vector<std::string> sent;  ///< the server's lines, with their ends
    std::vector<std::string> lines;
    std::map<std::string, int> quirks;
};

inline std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text.substr(i).starts_with("\\\\")) {
            out.push_back('\\');
            ++i;
        } else if (text.substr(i).starts_with("\\x") && i + 3 < text.size()) {
            out.push_back(
                static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16)));
            i += 3;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

inline Transcript read_transcript(const std::string& path) {
    Transcript transcript;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        const std::string rest = line.size() > 3 ? line.substr(3) : "";
        if (line.starts_with("S:")) {
            transcript.sent.push_back(unescape(rest) + "\r\n");
        } else if (line.starts_with("E:")) {
            transcript.lines.push_back(rest);
        } else if (line.starts_with("Q:")) {
            const std::size_t space = rest.find(' ');
            transcript.quirks[rest.substr(0, space)] = std::stoi(rest.substr(space));
        }
    }
    return transcript;
}

}  // namespace imapult::imap::testing
