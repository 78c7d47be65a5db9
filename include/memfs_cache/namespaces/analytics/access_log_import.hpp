// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/cache_hash.hpp>
#include <memfs_cache/namespaces/analytics.hpp>
#include <memfs_cache/namespaces/analytics/access_log.hpp>
#include <memfs_cache/storage/update.hpp>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

struct Rejected_Line {
    std::string file;
    std::uint64_t line = 0; ///< from 1
    std::string reason;     ///< never repeats any of the line
};

/// What an import did.
struct Import_Report {
    std::uint64_t files = 0;
    std::uint64_t accepted = 0;         ///< lines that are events of the log now and were not before
    std::uint64_t already_imported = 0; ///< accepted lines that an earlier import had finished with
    std::uint64_t rejected = 0;
    std::vector<Rejected_Line> rejected_lines; ///< the first 1,000
    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// What the store remembers of one block of a log.
struct Import_Record {
    bool finished = false;
    std::uint64_t lines = 0, accepted = 0; ///< once finished

    [[nodiscard]] auto to_json() const -> std::string;
    [[nodiscard]] static auto from_json(std::string_view text) -> Result<Import_Record>;
};

/// Name of a block in the store: {chain}-{bytes:012}-{hash}.json. `chain` stands for all that came before it in its
/// log, `hash` for its own bytes; so a block is known again in whatever file it comes, and only at its own place.
struct Import_Block_Name {
    std::string chain;
    std::uint64_t bytes = 0;
    std::string hash;

    [[nodiscard]] auto text() const -> std::string;
    [[nodiscard]] static auto parse(std::string_view file_name) -> std::optional<Import_Block_Name>;
    /// The writer id of its events.
    [[nodiscard]] auto writer() const -> std::string { return identity("writer"); }
    /// The chain that ends with it.
    [[nodiscard]] auto next_chain() const -> std::string { return identity("chain"); }

    /// 16 hex digits that stand for a text.
    [[nodiscard]] static auto digest(std::string_view bytes) -> std::string;

  private:
    [[nodiscard]] auto identity(std::string_view purpose) const -> std::string;
};

/// Brings access logs into analytics, each line once, however often, from however many files and processes.
///
/// A log is cut into blocks of whole lines. What becomes of a block depends only on its bytes and on the blocks before
/// it: writer id, positions and event ids are derived from them, so importing it again writes the same objects. Blocks
/// that were finished before are skipped; a log that has grown begins anew behind the last block that is known.
///
/// Threads  one import object, one thread; several imports may run at once, also of the same log.
template <StorageBackend Storage>
class Access_Log_Import {
  public:
    /// Reads up to `size` bytes into `out`; 0 at the end.
    using Source = std::function<Result<std::size_t>(char* out, std::size_t size)>;
    /// Is told the bytes that were read and the lines that were settled so far.
    using Progress = std::function<void(std::uint64_t bytes, std::uint64_t lines)>;

    struct Options {
        Access_Log_Format format = Access_Log_Format::detect;
        std::optional<Log_Columns> columns = {}; ///< of formats that have some
        bool count_again = false;                ///< treat everything as never seen before
        Progress progress = {};
    };

    Access_Log_Import(Storage& storage, Analytics<Storage>& analytics, Options options)
        : storage_(storage), analytics_(analytics), paths_(analytics.log().paths()), options_(std::move(options)) {}

    /// Imports one log, unpacked.
    /// @param  name  of the file, for the report
    /// @errors what the source and the storage say. What was settled stays; doing it again goes on from there.
    [[nodiscard]] auto import(std::string const& name, Source const& source) -> Result<void> {
        ++report_.files;
        file_ = name;
        line_ = 0;
        reader_ = Access_Log_Reader(options_.format, options_.columns);
        auto chain =
            Import_Block_Name::digest("memfs_cache access log " + (options_.count_again ? random_hex(16) : ""));
        Bytes buffer;
        bool at_end = false;
        bool open_line = false; // the block before ended without a line end: one may follow
        while (!at_end || !buffer.empty()) {
            if (!at_end) {
                auto const filled = fill(buffer, source);
                if (!filled)
                    return filled.error();
                at_end = *filled;
            }
            if (open_line) {
                if (buffer.starts_with("\r\n"))
                    buffer.erase(0, 2);
                else if (buffer.starts_with('\n'))
                    buffer.erase(0, 1);
                open_line = false;
                continue;
            }
            auto block = known_block(chain, buffer, at_end);
            if (!block)
                return block.error();
            if (!*block)
                *block = new_block(chain, buffer, at_end);
            if (!*block) { // an unfinished line at the end of a log that is still written
                if (!buffer.empty())
                    reject(
                        ++line_,
                        "the last line has no line end and may be incomplete; import the log again when it has grown");
                break;
            }
            auto const bytes = std::string_view(buffer).substr(0, (*block)->bytes);
            open_line = bytes.back() != '\n';
            if (auto const settled = settle(**block, bytes); !settled)
                return settled.error();
            chain = (*block)->next_chain();
            buffer.erase(0, bytes.size());
            if (options_.progress)
                options_.progress(bytes_read_, report_.accepted + report_.rejected);
        }
        return {};
    }

    [[nodiscard]] auto report() const noexcept -> Import_Report const& { return report_; }

  private:
    static constexpr std::size_t block_bytes = 16 << 20;
    static constexpr std::size_t most_rejected_lines = 1000;

    /// @return whether the log has ended
    auto fill(Bytes& buffer, Source const& source) -> Result<bool> {
        while (buffer.size() < block_bytes + 1) { // one more than a block, to see what follows it
            auto const before = buffer.size();
            buffer.resize(block_bytes + 1);
            auto const got = source(buffer.data() + before, buffer.size() - before);
            buffer.resize(before + (got ? *got : 0));
            if (!got)
                return got.error();
            if (*got == 0)
                return true;
            bytes_read_ += *got;
        }
        return false;
    }

    /// The longest block at this place of the chain that the buffer begins with.
    auto known_block(std::string const& chain, Bytes const& buffer, bool at_end)
        -> Result<std::optional<Import_Block_Name>> {
        std::optional<Import_Block_Name> best;
        auto const folder = paths_.data_prefix() + "imports/";
        List_Query query{folder + chain + "-", {}, 1000};
        do {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto const& item : page->items) {
                auto name = Import_Block_Name::parse(std::string_view(item.key).substr(folder.size()));
                if (!name || name->bytes == 0 || name->bytes > buffer.size() || (best && name->bytes <= best->bytes))
                    continue;
                // A block without a line end was the end of its log; here it must not be the beginning of a longer
                // line.
                auto const follows = std::string_view(buffer).substr(name->bytes, 2);
                bool const whole_lines = buffer[name->bytes - 1] == '\n' || follows.starts_with('\n') ||
                                         follows == "\r\n" || (follows.empty() && at_end);
                auto const bytes = std::string_view(buffer).substr(0, name->bytes);
                if (whole_lines && Import_Block_Name::digest(bytes) == name->hash)
                    best = *std::move(name);
            }
            query.start_after = page->next;
        } while (!query.start_after.empty());
        return best;
    }

    /// The next block of whole lines; at the end of the log also a last line without a line end, if it is complete.
    auto new_block(std::string const& chain, Bytes const& buffer, bool at_end) -> std::optional<Import_Block_Name> {
        auto const window = std::string_view(buffer).substr(0, block_bytes);
        auto const last = window.rfind('\n');
        auto size = last == std::string_view::npos ? 0 : last + 1;
        if (size == 0 && !(at_end && !reader_.is_whole(window)))
            size = window.size(); // without any line end in a whole block: rejected piece by piece
        if (size == 0)
            return std::nullopt;
        return Import_Block_Name{chain, size, Import_Block_Name::digest(window.substr(0, size))};
    }

    /// Events of one half-hour as they will lie on the storage.
    struct Piece {
        Bytes lines;
        std::uint64_t count = 0;
        Utc_Time first, newest;
    };

    auto settle(Import_Block_Name const& block, std::string_view bytes) -> Result<void> {
        auto const key = paths_.under("imports/" + block.text());
        auto const begun = storage_.put(key, Import_Record{}.to_json(), Precondition::absent());
        if (!begun)
            return begun.error();
        auto const present = storage_.get(key);
        if (!present)
            return present.error();
        if (!*present)
            return fail(Errc::indeterminate, key.str() + " may not be stored yet; import again");
        auto record = Import_Record::from_json((*present)->bytes);
        if (!record)
            return fail(record.error().code, key.str() + ": " + record.error().context);
        if (record->finished) {
            line_ += record->lines;
            reader_.pass_over(bytes);
            report_.already_imported += record->accepted;
            return {};
        }

        auto const writer = block.writer();
        auto const first_line = line_;
        std::map<Base_Window, Piece> pieces;
        auto const accepted = read_lines(writer, bytes, pieces);
        if (!accepted)
            return accepted.error();
        if (*accepted == 0) // perhaps the wrong format: nothing is remembered, so that the right one can be tried
            return {};
        if (auto const landed = land(writer, pieces); !landed)
            return landed.error();
        auto const finished = update_object(storage_, key, [&](Object const* current) -> Result<std::optional<Bytes>> {
            if (current != nullptr) {
                auto const stored = Import_Record::from_json(current->bytes);
                if (stored && stored->finished)
                    return std::optional<Bytes>();
            }
            return std::optional(Import_Record{true, line_ - first_line, *accepted}.to_json());
        });
        if (!finished)
            return finished.error();
        // Of two imports that landed the same block, the one that finished it counts its lines.
        (*finished ? report_.accepted : report_.already_imported) += *accepted;
        return {};
    }

    auto read_lines(std::string const& writer, std::string_view bytes, std::map<Base_Window, Piece>& pieces)
        -> Result<std::uint64_t> {
        auto const id_seed = parse_hex(writer).value_or(0);
        auto const first_line = line_;
        std::uint64_t accepted = 0;
        Piece* piece = nullptr;
        std::optional<Base_Window> piece_window;
        std::optional<Line_Seal> seal;
        Request_View request;
        for (std::size_t at = 0; at < bytes.size();) {
            auto const end = std::min(bytes.find('\n', at), bytes.size());
            auto const line = bytes.substr(at, end - at);
            at = end + 1;
            ++line_;
            auto const verdict = reader_.read(line, request);
            if (verdict == Access_Log_Verdict::directive)
                continue;
            if (verdict != Access_Log_Verdict::accepted) {
                reject(line_, std::string(describe(verdict)));
                continue;
            }
            Event_Id const id(id_seed ^ (0x9e3779b97f4a7c15ULL * (line_ - first_line)));
            auto const stored =
                analytics_.with_record(request, id.view(), [&](Analytics_Record const& record) -> Result<void> {
                    auto const window = Base_Window::containing(record.timestamp);
                    if (piece_window != window) {
                        piece = &pieces[window];
                        piece_window = window;
                        seal.emplace(writer, window);
                    }
                    if (piece->count == 0)
                        piece->first = piece->newest = record.timestamp;
                    piece->newest = std::max(piece->newest, record.timestamp);
                    auto const begin = piece->lines.size();
                    record.append_json(piece->lines);
                    piece->lines.pop_back();
                    auto const checksum = Line_Seal::text_checksum(std::string_view(piece->lines).substr(begin));
                    Line_Seal::append_tail(piece->lines);
                    seal->fill(piece->lines.data() + piece->lines.size(), checksum, piece->count++);
                    piece->lines += '\n';
                    return {};
                });
            if (stored)
                ++accepted;
            else if (stored.error().code == Errc::invalid_argument)
                reject(line_, stored.error().context);
            else
                return stored.error();
        }
        return accepted;
    }

    auto land(std::string const& writer, std::map<Base_Window, Piece> const& pieces) -> Result<void> {
        auto& log = analytics_.log();
        std::set<Base_Window> windows;
        std::map<Base_Window, std::uint64_t> counts;
        for (auto const& [window, piece] : pieces) {
            windows.insert(window);
            counts[window] = piece.count;
        }
        if (auto const registered = log.register_import(writer, windows); !registered)
            return registered.error();
        for (auto const& [window, piece] : pieces) {
            Segment_Name const name{piece.first, writer, 0, piece.count};
            if (auto const landed = log.land_import(name, window, piece.newest, piece.lines); !landed)
                return landed.error();
        }
        return log.finish_import(writer, counts);
    }

    void reject(std::uint64_t line, std::string reason) {
        ++report_.rejected;
        if (report_.rejected_lines.size() < most_rejected_lines)
            report_.rejected_lines.push_back({file_, line, std::move(reason)});
    }

    Storage& storage_;
    Analytics<Storage>& analytics_;
    Log_Paths const& paths_;
    Options options_;
    Import_Report report_;
    Access_Log_Reader reader_{options_.format, options_.columns};
    std::string file_;
    std::uint64_t line_ = 0;
    std::uint64_t bytes_read_ = 0;
};

} // namespace memfs_cache
