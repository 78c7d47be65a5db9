// SPDX-License-Identifier: Apache-2.0
#include "transfer_store.hpp"

#include <memfs_cache/core/bytes.hpp>
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/update.hpp>
#include <memfs_cache/storage/words.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <thread>

namespace example {
namespace {

namespace json = boost::json;

constexpr std::uint64_t format_version = 1;
constexpr std::string_view root = "transfers/";
constexpr std::size_t id_digits = 12;
constexpr std::size_t appended_bytes = 256 << 10;
constexpr std::size_t object_bytes = 1 << 20;

auto folder(std::string_view transfer_id) -> std::string { return std::string(root).append(transfer_id) + "/"; }

auto meta_key(std::string_view transfer_id) -> Storage_Key { return Storage_Key(folder(transfer_id) + "meta.json"); }

auto payload_path(std::string_view transfer_id, Payload const& payload) -> std::string {
    return folder(transfer_id) + "payload/" + payload.upload;
}

auto piece_key(std::string_view transfer_id, Payload const& payload, std::uint64_t offset) -> Storage_Key {
    auto path = payload_path(transfer_id, payload);
    if (payload.piece_bytes > 0) {
        std::string number(8, '0');
        write_hex(number.data(), offset / payload.piece_bytes, 8);
        path.append("/").append(number);
    }
    return Storage_Key(path);
}

} // namespace

auto Transfer::remaining() const -> std::optional<std::uint64_t> {
    if (max_downloads == 0)
        return std::nullopt;
    return max_downloads - std::min<std::uint64_t>(max_downloads, download_count + reserved.size());
}

auto Transfer::promise(std::string const& download_id, Utc_Time now, Utc_Time lost_before) -> Promise {
    for (auto const& one : reserved)
        if (one.id == download_id) // by a write whose answer was lost
            return Promise::given;
    if (remaining() == 0)
        charge_lost(lost_before);
    if (is_over(now) || status != "completed")
        return Promise::over;
    if (remaining() == 0)
        return Promise::none_left_now;
    if (max_downloads > 0)
        reserved.push_back({download_id, now, Process_Identity::current()});
    return Promise::given;
}

auto Transfer::settle(std::string_view download_id, bool is_whole) -> bool {
    constexpr std::size_t most_counted = 32;
    if (max_downloads == 0) {
        if (!is_whole || std::find(counted.begin(), counted.end(), download_id) != counted.end())
            return false;
        if (counted.size() == most_counted)
            counted.erase(counted.begin());
        counted.emplace_back(download_id);
        ++download_count;
        return true;
    }
    auto const found =
        std::find_if(reserved.begin(), reserved.end(), [&](auto const& one) { return one.id == download_id; });
    if (found == reserved.end())
        return false;
    reserved.erase(found);
    download_count += is_whole ? 1U : 0U;
    if (download_count >= max_downloads && status == "completed")
        end("exhausted");
    return true;
}

auto Transfer::charge_lost(Utc_Time lost_before) -> bool {
    std::vector<std::string> lost;
    for (auto const& one : reserved)
        if (one.at < lost_before || one.holder.is_surely_dead())
            lost.push_back(one.id);
    for (auto const& id : lost)
        settle(id, true);
    return !lost.empty();
}

void Transfer::end(std::string_view last_status) {
    status = last_status;
    if (auto_delete || status == "deleted")
        payload.upload.clear();
}

auto Transfer::to_json() const -> Bytes {
    json::array promised;
    for (auto const& [id, at, holder] : reserved)
        promised.push_back({{"id", id},
                            {"at", to_millis(at)},
                            {"host", holder.host},
                            {"pid", holder.pid},
                            {"started", holder.started}});
    return json_text({{"v", format_version},
                      {"nonce", random_hex(8)},
                      {"transfer_id", transfer_id},
                      {"status", status},
                      {"file_name", file_name},
                      {"content_type_hint", content_type},
                      {"file_size_bytes", payload.size_bytes},
                      {"sha256", payload.sha256},
                      {"upload", payload.upload},
                      {"piece_bytes", payload.piece_bytes},
                      {"created_at", to_millis(created_at)},
                      {"completed_at", to_millis(completed_at)},
                      {"expires_at", to_millis(expires_at)},
                      {"max_downloads", max_downloads},
                      {"download_count", download_count},
                      {"auto_delete", auto_delete},
                      {"token_name", token_name},
                      {"token_id", token_id},
                      {"delete_auth_hash", delete_key_hash},
                      {"reserved", std::move(promised)},
                      {"counted", json::value_from(counted)}});
}

auto Transfer::parse(Byte_View text, std::string_view what) -> Result<Transfer> {
    auto const object = parse_object(text, what);
    if (!object)
        return object.error();
    Member_Reader members(*object);
    if (members.unsigned_number("v") != format_version)
        members.refuse("v");
    Transfer transfer;
    transfer.transfer_id = members.text("transfer_id");
    transfer.status = members.text("status");
    transfer.file_name = members.text("file_name");
    transfer.content_type = members.text("content_type_hint");
    transfer.payload.size_bytes = members.unsigned_number("file_size_bytes");
    transfer.payload.sha256 = members.text("sha256");
    transfer.payload.upload = members.text("upload");
    transfer.payload.piece_bytes = members.unsigned_number("piece_bytes");
    transfer.created_at = from_millis(members.signed_number("created_at"));
    transfer.completed_at = from_millis(members.signed_number("completed_at"));
    transfer.expires_at = from_millis(members.signed_number("expires_at"));
    transfer.max_downloads = members.unsigned_number("max_downloads");
    transfer.download_count = members.unsigned_number("download_count");
    transfer.auto_delete = members.flag("auto_delete");
    transfer.token_name = members.text("token_name");
    transfer.token_id = members.text("token_id");
    transfer.delete_key_hash = members.text("delete_auth_hash");
    for (auto const& one : members.array("reserved")) {
        Member_Reader promised(one.is_object() ? one.get_object() : json::object());
        transfer.reserved.push_back(
            {std::string(promised.text("id")),
             from_millis(promised.signed_number("at")),
             {std::string(promised.text("host")), promised.signed_number("pid"), promised.unsigned_number("started")}});
        if (!promised.good())
            members.refuse("reserved");
    }
    for (auto const& one : members.array("counted")) {
        if (one.is_string())
            transfer.counted.emplace_back(one.get_string());
        else
            members.refuse("counted");
    }
    if (!members.good())
        return fail(Errc::corrupt_data,
                    std::string(what) + ": the member " + std::string(members.first_bad()) + " is missing or wrong");
    return transfer;
}

auto Transfer_Store::open(Any_Storage storage, Clock_Ptr clock) -> Result<Transfer_Store> {
    if (!storage.capabilities().conditional_put)
        return fail(Errc::unsupported, "transfers need a storage with conditional puts, or no limit holds: use memory, "
                                       "disk, sqlite or an S3 that obeys conditions");
    return Transfer_Store(std::move(storage), std::move(clock));
}

auto Transfer_Store::is_id(std::string_view text) -> bool { return text.size() == id_digits && parse_hex(text); }

auto Transfer_Store::create(Transfer wanted) -> Result<Transfer> {
    wanted.created_at = clock_->now();
    for (;;) {
        wanted.transfer_id = random_hex(id_digits / 2);
        auto const made = update_object(storage_, meta_key(wanted.transfer_id),
                                        [&](Object const* there) -> Result<std::optional<Bytes>> {
                                            return there == nullptr ? std::optional(wanted.to_json()) : std::nullopt;
                                        });
        if (!made)
            return made.error();
        if (*made) // else it is somebody's
            return wanted;
    }
}

auto Transfer_Store::read(std::string_view transfer_id) const -> Result<std::optional<Transfer>> {
    if (!is_id(transfer_id))
        return std::optional<Transfer>();
    auto const key = meta_key(transfer_id);
    auto const there = storage_.get(key);
    if (!there)
        return there.error();
    if (!*there)
        return std::optional<Transfer>();
    auto transfer = Transfer::parse((*there)->bytes, key.str());
    if (!transfer)
        return transfer.error();
    return std::optional(*std::move(transfer));
}

auto Transfer_Store::change(std::string_view transfer_id, std::function<bool(Transfer&)> const& edit)
    -> Result<std::optional<Transfer>> {
    if (!is_id(transfer_id))
        return std::optional<Transfer>();
    auto const key = meta_key(transfer_id);
    std::optional<Transfer> transfer;
    auto const edit_json = [&](Object const* there) -> Result<std::optional<Bytes>> {
        transfer.reset();
        if (there == nullptr)
            return std::optional<Bytes>();
        auto stored = Transfer::parse(there->bytes, key.str());
        if (!stored)
            return stored.error();
        transfer = *std::move(stored);
        return edit(*transfer) ? std::optional(transfer->to_json()) : std::nullopt;
    };
    // A hundred clients of one transfer may end at the same time, and each of them has to be heard.
    constexpr int most_rounds = 16;
    for (int round = 1;; ++round) {
        auto const changed = update_object(storage_, key, edit_json);
        if (changed)
            return transfer;
        if (changed.error().code != Errc::conflict || round == most_rounds)
            return changed.error();
        std::this_thread::sleep_for(std::chrono::milliseconds(random_u64() % 20));
    }
}

auto Transfer_Store::new_payload() const -> Payload {
    Payload payload;
    payload.upload = random_hex(8);
    payload.piece_bytes = storage_.capabilities().append ? 0 : object_bytes;
    return payload;
}

auto Transfer_Store::piece_bytes(Payload const& payload) const -> std::size_t {
    return payload.piece_bytes > 0 ? static_cast<std::size_t>(payload.piece_bytes) : appended_bytes;
}

auto Transfer_Store::add(std::string_view transfer_id, Payload& payload, Byte_View piece) -> Result<void> {
    auto const key = piece_key(transfer_id, payload, payload.size_bytes);
    auto const outcome = payload.piece_bytes > 0
                             ? storage_.put(key, piece, Precondition::absent())
                             : storage_.append(key, payload.size_bytes, piece, Durability::buffered);
    if (!outcome)
        return outcome.error();
    if (outcome->state != Put_State::applied) // not known, or swept away
        return fail(Errc::unavailable, "a piece of the payload was not stored; upload it again");
    payload.size_bytes += piece.size();
    return {};
}

auto Transfer_Store::settle(std::string_view transfer_id, Payload const& payload) -> Result<void> {
    if (payload.piece_bytes > 0 || payload.size_bytes == 0)
        return {}; // each piece was durable
    auto const outcome =
        storage_.append(piece_key(transfer_id, payload, 0), payload.size_bytes, {}, Durability::durable);
    if (!outcome)
        return outcome.error();
    if (outcome->state != Put_State::applied)
        return fail(Errc::unavailable, "a payload may not last; upload it again");
    return {};
}

auto Transfer_Store::read(std::string_view transfer_id,
                          Payload const& payload,
                          std::uint64_t offset,
                          std::size_t most) const -> Result<Bytes> {
    Byte_Range range{offset, most};
    if (payload.piece_bytes > 0) {
        range.offset = offset % payload.piece_bytes;
        range.length = std::min(range.length, payload.piece_bytes - range.offset);
    }
    auto object = storage_.get(piece_key(transfer_id, payload, offset), range);
    if (!object)
        return object.error();
    if (!*object || (*object)->bytes.empty())
        return fail(Errc::not_found, "the payload of a transfer was removed while it was read");
    return std::move((*object)->bytes);
}

auto Transfer_Store::erase(std::string_view transfer_id, Payload const& payload) -> Result<void> {
    auto const paths = files_list(storage_, payload_path(transfer_id, payload));
    if (!paths)
        return paths.error();
    for (auto const& path : *paths)
        if (auto const erased = storage_.erase(Storage_Key(path), Precondition::none()); !erased)
            return erased.error();
    return {};
}

auto Transfer_Store::sweep(std::function<bool()> const& goes_on) -> Result<void> {
    auto const ids = folders_list(storage_, root);
    if (!ids)
        return ids.error();
    Result<void> outcome;
    for (auto const& id : *ids) {
        if (!goes_on())
            break;
        if (auto const swept = sweep_one(id); !swept && outcome)
            outcome = swept.error();
    }
    return outcome;
}

auto Transfer_Store::sweep_one(std::string const& transfer_id) -> Result<void> {
    auto const now = clock_->now();
    auto const transfer = change(transfer_id, [&](Transfer& it) {
        bool const is_charged = it.charge_lost(now - patience);
        bool const is_abandoned = it.status == "pending" && it.created_at + patience <= now;
        bool const ends = it.status != "deleted" && (is_abandoned || it.is_over(now));
        if (ends)
            it.end("deleted");
        return is_charged || ends;
    });
    if (!transfer)
        return transfer.error();
    // Uploads may be on their way to what is pending. Anything else has the payload that it will ever have.
    if (!*transfer || (*transfer)->status == "pending")
        return {};
    auto const prefix = folder(transfer_id) + "payload/";
    auto const paths = files_list(storage_, prefix);
    if (!paths)
        return paths.error();
    for (auto const& path : *paths) {
        auto const& kept = (*transfer)->payload.upload;
        if (!kept.empty() && path.compare(prefix.size(), kept.size(), kept) == 0)
            continue;
        if (auto const erased = storage_.erase(Storage_Key(path), Precondition::none()); !erased)
            return erased.error();
    }
    return {};
}

} // namespace example
