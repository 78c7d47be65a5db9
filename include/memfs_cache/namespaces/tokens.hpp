// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/core/per_process.hpp>
#include <memfs_cache/entries/entry_store.hpp>
#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/lets/newest_events.hpp>
#include <memfs_cache/lets/rebuilding.hpp>
#include <memfs_cache/namespaces/handler.hpp>
#include <memfs_cache/namespaces/tokens/action_claims.hpp>
#include <memfs_cache/namespaces/tokens/block_keeper.hpp>
#include <memfs_cache/namespaces/tokens/token.hpp>
#include <memfs_cache/namespaces/tokens/token_desk.hpp>
#include <memfs_cache/namespaces/tokens/token_event.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

namespace memfs_cache {

struct Tokens_Options {
    Event_Log_Options log = {};
    std::string share_url_base = {}; ///< such as "https://files.example/t/"; "" for no share_url
    std::size_t summary_cache_bytes = 64 << 20;
    // Of tokens with blocks alone
    std::chrono::milliseconds lease_idle{1'000};     ///< leases that are not used for so long are given back
    std::chrono::milliseconds lease_patience{2'000}; ///< how long a use waits for what others hold
    /// Leases that were made so long ago are charged in full by whoever leases next, though nobody knows that the holder
    /// is gone. 0: only those of processes of this machine that are known to have died; others by settle().
    std::chrono::milliseconds charge_after{0};
};

/// What a new token is like, beside its name.
struct New_Token {
    std::uint64_t limit = 0; ///< 0: as often as one likes
    std::string created_by = {};
    Utc_Time expires_at = Token_Record::never; ///< from this millisecond on it is expired; 1970 for never
    boost::json::object metadata = {};
    /// How many uses a process may lease at once, and then grant without writing; 0: every use is written. For tokens that
    /// are used so often that a conditional write for each moment is too slow: choose what a process grants in a second.
    std::uint64_t block_size = 0;
};

/// Who uses a token, and what for.
struct Use_Of_Token {
    std::string ip_hash = {};           ///< of the client; what is no hash is not kept
    std::string action = "page_opened"; ///< at most 64 bytes
    std::string transfer_id = {};       ///< at most 256 bytes
    std::string action_id = {};         ///< of this use, at most 256 bytes: the same one again within a day counts once
};

/// Invitation tokens with exact limits: a token with limit L grants at most L uses, from however many threads, processes
/// and machines it is used: by a conditional write for the uses of a moment (Token_Desk), or for a whole block of them,
/// which a process then grants without writing (Token_Block). Each use and each refusal of an existing token is an event in the log of the
/// namespace; windows hold the figures of every token that was used in them.
///
/// Names   are kept in small letters; see parse_token_name().
/// Errors  enforcement fails closed: a token that cannot be checked is not granted, but answered with an error. A refusal
///         is a result. invalid_argument for names and fields out of range; not_found from calls that change a token.
/// Threads  every call from any thread. A child after fork() may go on using its copy, also when threads of its parent
///          were in the middle of something.
/// Ownership refers to the storage, which must outlive it.
template <StorageBackend Storage>
class Tokens {
  public:
    /// @errors unsupported if the storage has no conditional puts: no limit would hold there; as Event_Log::open
    [[nodiscard]] static auto open(Storage& storage,
                                   std::string_view root,
                                   Namespace_Name const& name,
                                   Clock_Ptr clock,
                                   Tokens_Options options = {}) -> Result<std::unique_ptr<Tokens>> {
        if (!storage.capabilities().conditional_put)
            return fail(Errc::unsupported,
                        "tokens need a storage with conditional puts, or no limit holds: use memory, disk "
                        "or another one that has them");
        auto log = Event_Log<Storage>::open(storage, Log_Paths(root, name), std::move(clock), options.log);
        if (!log)
            return log.error();
        return std::unique_ptr<Tokens>(new Tokens(storage, root, name, *std::move(log), std::move(options)));
    }

    /// @errors already_exists if there is a token of this name, also from two who create it at once
    [[nodiscard]] auto create(std::string_view token_name, New_Token const& wanted = {}) -> Result<Token> {
        auto name = parse_token_name(token_name);
        if (!name)
            return name.error();
        constexpr std::size_t longest_creator = 256, longest_metadata = 64 << 10;
        if (wanted.created_by.size() > longest_creator || !is_utf8(wanted.created_by))
            return fail(Errc::invalid_argument, "created_by: at most 256 bytes of UTF-8");
        if (!is_storable(wanted.expires_at))
            return fail(Errc::invalid_argument, "expires_at: give milliseconds since 1970, or 0 for never");
        if (json_text(wanted.metadata).size() > longest_metadata)
            return fail(Errc::too_large, "metadata: at most 64 KiB of JSON");
        if (wanted.block_size > largest_block)
            return fail(Errc::invalid_argument, "block_size: give 0 to 1000000000 uses");
        auto const cache_id = entries_.create(name_.str(), Python_Json(*name));
        if (!cache_id)
            return cache_id.error();
        Token_Record record;
        record.cache_id = cache_id->str();
        record.cache_hash = entries_.hash_of_source(Python_Json(*name)).value();
        record.token_name = *std::move(name);
        record.usage_limit = wanted.limit;
        record.created_by = wanted.created_by;
        record.created_at = log_->clock()->now();
        record.expires_at = wanted.expires_at;
        record.metadata = wanted.metadata;
        record.block_size = wanted.block_size;
        record.begin_write(random_hex(7));
        auto const bytes = record.to_json();
        auto const key = token_key(record.cache_id);
        auto const put = storage_.put(key, bytes, Precondition::absent());
        if (put && put->state == Put_State::applied)
            return shown(record);
        // What is there may be ours, after an answer was lost.
        auto const there = storage_.get(key);
        if (!there)
            return there.error();
        if (*there && (*there)->bytes == bytes)
            return shown(record);
        if (*there)
            return fail(Errc::already_exists, "token_name: there is a token of this name");
        return put ? fail(Errc::indeterminate, "the token may not be stored yet; create it again") : put.error();
    }

    /// @errors none for a name that no token can have: there is none
    [[nodiscard]] auto lookup(std::string_view token_name) -> Result<std::optional<Token>> {
        auto const record = find_record(token_name);
        if (!record)
            return record.error();
        return *record ? std::optional(shown(**record)) : std::nullopt;
    }

    /// Every token, by name.
    /// Cost    one list of the token files, a read of each
    [[nodiscard]] auto list() const -> Result<std::vector<Token>> {
        constexpr std::string_view file = "/token.json";
        auto const paths = files_list(storage_, folder_);
        if (!paths)
            return paths.error();
        std::vector<Token> all;
        for (auto const& path : *paths) {
            if (!path.ends_with(file))
                continue;
            auto const bytes = memfs_cache::read(storage_, path);
            if (!bytes)
                return bytes.error();
            if (!*bytes)
                continue; // gone meanwhile
            auto const record = Token_Record::parse(**bytes);
            if (!record)
                return fail(record.error().code, path + ": " + record.error().context);
            all.push_back(shown(*record));
        }
        std::sort(all.begin(), all.end(), [](Token const& a, Token const& b) { return a.token_name < b.token_name; });
        return all;
    }

    /// Uses a token once, if it may be used.
    /// @errors unavailable if the outcome is not known: then nothing is granted, though a use may be counted. Of a token
    ///         with blocks also if others hold all that is left, and did not give it back for Tokens_Options::lease_patience
    [[nodiscard]] auto use(std::string_view token_name, Use_Of_Token const& use = {}) -> Result<Token_Use> {
        if (auto const good = check_use(use); !good)
            return good.error();
        auto const desk = find_desk(token_name);
        if (!desk)
            return desk.error();
        if (!*desk)
            return refused_unknown();
        Spending spending{*desk, use};
        auto const outcome =
            use.action_id.empty()
                ? spend(spending)
                : callers_.get().claims.once((*desk)->cache_id, use.action_id, log_->clock()->now(),
                                             [&] { return spend(spending); }, [&] { return give_back(spending); },
                                             [&] { return granted_already(**desk); });
        if (spending.unit)
            record(**desk, use, {}, spending.at, spending.unit->lease_id());
        return outcome;
    }

    /// What use() would answer now, without using it up.
    [[nodiscard]] auto check(std::string_view token_name) -> Result<Token_Use> {
        auto const record = find_record(token_name);
        if (!record)
            return record.error();
        if (!*record)
            return refused_unknown();
        return outcome_of(**record, (*record)->status_at(log_->clock()->now()));
    }

    /// Charges leases whose holders are gone: all that they leased counts as used from now on, since nobody knows what of
    /// it they granted. Never more than the limit is granted, even if a holder lives after all: it finds its lease gone and
    /// takes another one.
    /// @param  leased_before  also those of holders that may live, if they were made so long ago; nothing: only those of
    ///                        processes of this machine that are known to have died
    /// @return the token afterwards
    [[nodiscard]] auto settle(std::string_view token_name,
                              std::optional<std::chrono::milliseconds> leased_before = std::nullopt) -> Result<Token> {
        auto const desk = find_desk(token_name);
        if (!desk)
            return desk.error();
        if (!*desk)
            return unknown_token();
        std::vector<Token_Lease> charged;
        auto const token = change_with(**desk, [&](Token_Record& it, Utc_Time now) -> Result<bool> {
            charged = it.charge([&](auto const& lease) {
                return lease.holder.is_surely_dead() || (leased_before && now - lease.at >= *leased_before);
            });
            return !charged.empty();
        });
        if (!token)
            return token.error();
        if (!*token)
            return unknown_token();
        enter_charges((*desk)->token_name, charged);
        if (auto const done = record_charges(); !done)
            return done.error();
        return shown(**token);
    }

    /// From now on it is refused; by processes that have leased uses of it, after a millisecond, or a second where
    /// machines share the storage. Revoking twice changes nothing.
    [[nodiscard]] auto revoke(std::string_view token_name) -> Result<Token> {
        return edit(token_name, [](Token_Record& token, Utc_Time now) -> Result<bool> {
            if (token.revoked_at != Token_Record::never)
                return false;
            token.revoked_at = now;
            return true;
        });
    }

    /// A limit below the uses so far shows as exhausted at once, or as soon as what is leased out is back; nothing that
    /// was granted is taken back.
    [[nodiscard]] auto set_limit(std::string_view token_name, std::uint64_t limit) -> Result<Token> {
        return edit(token_name, [limit](Token_Record& token, Utc_Time) -> Result<bool> {
            return std::exchange(token.usage_limit, limit) != limit;
        });
    }

    /// Makes a revoked or exhausted token usable again, with a limit that leaves uses. What was used stays counted, and
    /// so does what is leased out.
    /// @errors invalid_argument if the limit leaves none, or the token has expired
    [[nodiscard]] auto reactivate(std::string_view token_name, std::uint64_t limit) -> Result<Token> {
        return edit(token_name, [limit](Token_Record& token, Utc_Time now) -> Result<bool> {
            auto next = token;
            next.usage_limit = limit;
            next.revoked_at = Token_Record::never;
            switch (next.status_at(now)) {
            case Token_Status::exhausted:
                return uses_up(token);
            case Token_Status::expired:
                return fail(Errc::invalid_argument, "the token has expired; create another one");
            default:
                if (next.remaining() == 0)
                    return uses_up(token);
                token = std::move(next);
                return true;
            }
        });
    }

    /// The last uses and refusals of a token, newest first. Looks only into half-hours whose windows name it.
    /// @param  most  1..10000
    /// @errors not_found; invalid_argument; as LETS_Aggregator::query
    [[nodiscard]] auto events(std::string_view token_name, std::size_t most = 100) -> Result<std::vector<Token_Event>> {
        if (most < 1 || most > 10'000)
            return fail(Errc::invalid_argument, "limit: give 1 to 10000");
        auto const record = find_record(token_name);
        if (!record)
            return record.error();
        if (!*record)
            return unknown_token();
        auto const& name = (*record)->token_name;
        auto const names = [&](Window const& window) -> Result<bool> {
            auto const answer = aggregator_.query(window);
            if (!answer)
                return answer.error();
            return answer->summary->tokens.contains(name);
        };
        auto const take = [&](Raw_Event const& raw) -> Result<std::optional<Token_Event>> {
            Token_Event event;
            if (auto const read = event.read(raw); !read)
                return read.error();
            return event.token_name == name ? std::optional(std::move(event)) : std::nullopt;
        };
        return Newest_Events<Token_Event, Storage>(*log_, {.member = "token_name", .value = name}, names, take)
            .find((*record)->created_at, most);
    }

    /// Deletes what the policy lets go: raw events and saved windows; of tokens themselves nothing. What raw events are
    /// left is sealed, as far as that can be done.
    /// @see Purger
    [[nodiscard]] auto purge(Purge_Options const& options) -> Result<Purge_Report> {
        Purger purger(*log_, aggregator_, options);
        auto report = purger.run([](Purge_Report&, auto const&) -> Result<void> { return {}; });
        if (report && !options.dry_run)
            (void)log_->seal(earliest_time, latest_time);
        return report;
    }
    /// @see rebuild_windows, memfs_cache::refresh_due
    [[nodiscard]] auto rebuild_range(Utc_Time start, Utc_Time end, bool dry_run = false) -> Result<Rebuild_Report> {
        return rebuild_windows(*log_, aggregator_, start, end, dry_run);
    }
    [[nodiscard]] auto refresh_due(std::size_t limit) -> Result<Refresh_Report> {
        return memfs_cache::refresh_due(*log_, aggregator_, limit);
    }

    /// The figures of every token in a window, such as ("daily", "2026-02-13").
    [[nodiscard]] auto aggregation(std::string_view window_type, std::string_view window_key)
        -> Result<Tokens_Summary> {
        auto const type = parse_window_type(window_type);
        if (!type)
            return type.error();
        auto const window = Window::parse(*type, window_key);
        if (!window)
            return window.error();
        auto const answer = aggregator_.query(*window);
        if (!answer)
            return answer.error();
        return *answer->summary;
    }
    /// Those of one token.
    [[nodiscard]] auto aggregation(std::string_view token_name,
                                   std::string_view window_type,
                                   std::string_view window_key) -> Result<Token_Figures> {
        auto const name = parse_token_name(token_name);
        if (!name)
            return name.error();
        auto const all = aggregation(window_type, window_key);
        if (!all)
            return all.error();
        return all->of(*name);
    }

    [[nodiscard]] auto name() const -> Namespace_Name const& { return name_; }
    [[nodiscard]] auto flush() -> Result<void> { return log_->flush(); }
    /// Gives back what this process has leased, and lands all events.
    [[nodiscard]] auto close() -> Result<void> {
        auto& callers = callers_.get();
        callers.closed = true;
        Result<void> outcome;
        for (auto const& block : callers.keeper.stop())
            if (auto const closed = block->close(); !closed && outcome)
                outcome = closed.error();
        if (auto const recorded = record_charges(); !recorded && outcome)
            outcome = recorded.error();
        if (auto const closed = log_->close(); !closed && outcome)
            outcome = closed.error();
        return outcome;
    }
    [[nodiscard]] auto health() const -> Handler_Health {
        auto const counts = log_->counts();
        auto const lost = lost_events_.load(std::memory_order_relaxed);
        return {counts.dropped > 0 || lost > 0 || !counts.last_problem.empty(),
                {{"recorded", counts.recorded},
                 {"dropped", counts.dropped},
                 {"lost_events", lost},
                 {"failed_tidying", failed_tidying_.load(std::memory_order_relaxed)},
                 {"last_problem", counts.last_problem}}};
    }
    [[nodiscard]] auto log() noexcept -> Event_Log<Storage>& { return *log_; }

    ~Tokens() { (void)close(); }
    Tokens(Tokens const&) = delete;
    auto operator=(Tokens const&) -> Tokens& = delete;

  private:
    using Steady = std::chrono::steady_clock;
    using Block = Token_Block<Storage>;
    struct Charge {
        std::string token_name;
        Token_Lease lease;
    };
    struct Desk {
        Desk(Storage& storage, Storage_Key key, Clock_Ptr clock, std::string name, std::string id, Block_Terms terms)
            : token(storage, std::move(key), std::move(clock)), token_name(std::move(name)), cache_id(std::move(id)),
              block(token, std::move(terms)) {}
        Token_Desk<Storage> token;
        std::string const token_name;
        std::string const cache_id;
        Block block;
        std::atomic<bool> has_blocks{false}; ///< as far as is known; it never changes
    };
    using Desk_Ptr = std::shared_ptr<Desk>;
    /// Who uses tokens in this process.
    struct Callers {
        Callers(Storage& storage, std::string claims_folder)
            : claims(storage, std::move(claims_folder)), keeper(look_interval(storage)) {}
        Action_Claims<Storage> claims;
        std::shared_mutex desks_mutex;
        std::map<std::string, Desk_Ptr, std::less<>> desks; ///< by name
        std::mutex charges_mutex;
        std::vector<Charge> charges; ///< that are to become events
        std::atomic<bool> closed{false};
        Block_Keeper<Storage> keeper;
    };

    Tokens(Storage& storage,
           std::string_view root,
           Namespace_Name name,
           std::unique_ptr<Event_Log<Storage>> log,
           Tokens_Options options)
        : storage_(storage), name_(std::move(name)), options_(std::move(options)),
          folder_(namespace_prefix(root) + name_.str() + "/data/direct/"),
          callers_([&storage, claims = namespace_prefix(root) + name_.str() + "/data/actions/"] {
              return std::make_unique<Callers>(storage, claims);
          }),
          log_(std::move(log)), entries_(storage, root, log_->clock()),
          aggregator_(storage, *log_, options_.summary_cache_bytes) {
        log_->also_in_background([this] {
            if (!callers_.get().claims.tidy(log_->clock()->now()))
                failed_tidying_.fetch_add(1, std::memory_order_relaxed);
            (void)record_charges(); // what fails is tried again
        });
    }

    /// How often a holder of leases looks at the token, so that a recall and a revocation reach it.
    static auto look_interval(Storage const& storage) -> std::chrono::milliseconds {
        return std::chrono::milliseconds(storage.capabilities().shared_between_machines ? 1'000 : 1);
    }

    [[nodiscard]] auto token_key(std::string_view cache_id) const -> Storage_Key {
        return Storage_Key(std::string(folder_).append(cache_id).append("/token.json"));
    }
    [[nodiscard]] auto shown(Token_Record const& record) const -> Token {
        return Token::of(record, log_->clock()->now(), options_.share_url_base);
    }
    static auto unknown_token() -> Error { return fail(Errc::not_found, "token_name: there is no such token"); }
    static auto refused_unknown() -> Token_Use { return {false, "not_found", 0, std::nullopt}; }

    static auto uses_up(Token_Record const& token) -> Error {
        return fail(Errc::invalid_argument,
                    "usage_limit: give more than the " + std::to_string(token.counted()) + " uses so far, or 0");
    }

    static auto outcome_of(Token_Record const& token, Token_Status status) -> Token_Use {
        bool const granted = status == Token_Status::active;
        return {granted, granted ? std::string_view() : to_text(status), token.counted(), token.remaining()};
    }

    static auto check_use(Use_Of_Token const& use) -> Result<void> {
        if (use.action.empty() || use.action.size() > 64 || !is_utf8(use.action))
            return fail(Errc::invalid_argument, "action: give 1 to 64 bytes of UTF-8");
        if (use.transfer_id.size() > 256 || !is_utf8(use.transfer_id))
            return fail(Errc::invalid_argument, "transfer_id: at most 256 bytes of UTF-8");
        if (use.action_id.size() > 256)
            return fail(Errc::invalid_argument, "action_id: at most 256 bytes");
        return {};
    }

    /// The desk of a token that there is or was; null for a name that nothing was created for.
    auto find_desk(std::string_view token_name) -> Result<Desk_Ptr> {
        auto const name = parse_token_name(token_name);
        if (!name)
            return Desk_Ptr();
        auto& callers = callers_.get();
        {
            std::shared_lock const lock(callers.desks_mutex);
            if (auto const found = callers.desks.find(*name); found != callers.desks.end())
                return found->second;
        }
        auto const hash = entries_.hash_of_source(Python_Json(*name));
        if (!hash)
            return hash.error();
        auto const cache_id = entries_.lookup(name_.str(), *hash, Python_Json(*name));
        if (!cache_id)
            return cache_id.error();
        if (!*cache_id)
            return Desk_Ptr();
        auto fresh = std::make_shared<Desk>(storage_, token_key((*cache_id)->str()), log_->clock(), *name,
                                            (*cache_id)->str(), block_terms(*name));
        std::unique_lock const lock(callers.desks_mutex);
        if (callers.desks.size() >= most_desks) // whoever has one keeps it; limits hold between desks, too
            callers.desks.clear();
        return callers.desks.try_emplace(*name, std::move(fresh)).first->second;
    }

    auto find_record(std::string_view token_name) -> Result<std::optional<Token_Record>> {
        auto const desk = find_desk(token_name);
        if (!desk)
            return desk.error();
        return *desk ? (*desk)->token.read() : Result<std::optional<Token_Record>>(std::nullopt);
    }

    class Consume final : public Token_Change {
      public:
        auto apply(Token_Record& token, Utc_Time now) -> bool override {
            has_blocks = token.block_size > 0;
            if (has_blocks)
                return false;
            auto const status = token.status_at(now);
            bool const granted = status == Token_Status::active;
            if (granted) {
                ++token.usage_count;
                token.last_used_at = now;
            }
            outcome = outcome_of(token, status);
            at = now;
            return granted;
        }
        Token_Use outcome;
        Utc_Time at;
        bool has_blocks = false;
    };

    /// One call of use().
    struct Spending {
        Desk_Ptr const& desk;
        Use_Of_Token const& use;
        std::optional<typename Block::Unit> unit = {}; ///< if it came from a lease
        Utc_Time at = {};
    };

    auto spend(Spending& spending) -> Result<Token_Use> {
        auto& desk = *spending.desk;
        if (desk.has_blocks.load(std::memory_order_relaxed))
            return spend_leased(spending);
        Consume consume;
        auto const known = desk.token.change(consume);
        if (!known)
            return known.error();
        if (!*known)
            return refused_unknown();
        if (consume.has_blocks) {
            desk.has_blocks = true;
            return spend_leased(spending);
        }
        record(desk, spending.use, consume.outcome.rejection_reason, consume.at);
        return consume.outcome;
    }

    /// One that is granted is recorded later, when it is certain that it counts.
    auto spend_leased(Spending& spending) -> Result<Token_Use> {
        auto& desk = *spending.desk;
        auto& callers = callers_.get();
        if (callers.closed.load(std::memory_order_relaxed))
            return fail(Errc::closed, "the tokens are closed; open a new service");
        auto const begun = Steady::now();
        std::chrono::milliseconds pause{1};
        for (auto now = begun; now - begun <= options_.lease_patience; now = Steady::now()) {
            spending.at = log_->clock()->now();
            auto taken = desk.block.take(spending.at, now);
            if (!taken || (*taken && (*taken)->is_first))
                callers.keeper.watch(std::shared_ptr<Block>(spending.desk, &desk.block));
            if (!taken)
                return taken.error();
            if (*taken) {
                auto& it = **taken;
                if (it.runs_low)
                    callers.keeper.hurry();
                if (it.unit)
                    spending.unit.emplace(*std::move(it.unit));
                else if (it.outcome.rejection_reason != refused_unknown().rejection_reason)
                    record(desk, spending.use, it.outcome.rejection_reason, spending.at);
                return it.outcome;
            }
            std::this_thread::sleep_for(pause);
            pause = std::min(pause * 2, std::chrono::milliseconds(64));
        }
        return fail(Errc::unavailable, "other processes have leased all uses of this token that are left; try again");
    }

    auto block_terms(std::string const& token_name) -> Block_Terms {
        Block_Terms terms;
        terms.is_gone = [after = options_.charge_after](Token_Lease const& lease, Utc_Time now) {
            return lease.holder.is_surely_dead() || (after.count() > 0 && now - lease.at >= after);
        };
        terms.before_settling = [this] { (void)log_->flush(); }; // what it cannot land it tries again
        terms.after_charging = [this, token_name](auto const& leases) { enter_charges(token_name, leases); };
        terms.idle = options_.lease_idle;
        return terms;
    }

    /// The use is decided; an event that cannot be recorded changes nothing about it, and is counted.
    void record(Desk const& desk,
                Use_Of_Token const& use,
                std::string_view rejection_reason,
                Utc_Time at,
                std::string const& lease_id = {}) {
        record(Token_Event{at, desk.token_name, use.action, std::string(rejection_reason),
                           is_hash(use.ip_hash) ? use.ip_hash : std::string(), use.transfer_id, lease_id});
    }
    void record(Token_Event const& event) {
        if (!log_->record(event.timestamp, [&](std::string& out) { event.append_json(out); }))
            lost_events_.fetch_add(1, std::memory_order_relaxed);
    }

    // Charges

    void enter_charges(std::string const& token_name, std::vector<Token_Lease> const& leases) {
        auto& callers = callers_.get();
        std::lock_guard const lock(callers.charges_mutex);
        for (auto const& lease : leases)
            callers.charges.push_back({token_name, lease});
    }

    /// Makes an event of each charge, with the uses that no event of its lease speaks of.
    /// @errors as reading the log; what is left is tried again by the next call
    /// Cost     a read of all events since the lease was made
    auto record_charges() -> Result<void> {
        auto& callers = callers_.get();
        for (;;) {
            std::unique_lock lock(callers.charges_mutex);
            if (callers.charges.empty())
                return {};
            auto const charge = std::move(callers.charges.back());
            callers.charges.pop_back();
            lock.unlock();
            auto const told = count_events(charge);
            if (!told) {
                lock.lock();
                callers.charges.push_back(charge);
                return told.error();
            }
            if (*told >= charge.lease.granted)
                continue;
            Token_Event event;
            event.timestamp = log_->clock()->now();
            event.token_name = charge.token_name;
            event.action.clear();
            event.lease = charge.lease.id;
            event.charged = charge.lease.granted - *told;
            record(event);
        }
    }

    /// How many uses from a lease were recorded?
    auto count_events(Charge const& charge) -> Result<std::uint64_t> {
        auto const first = Base_Window::containing(charge.lease.at).start();
        auto const windows = log_->windows(first, log_->clock()->now() + std::chrono::hours(24));
        if (!windows)
            return windows.error();
        std::uint64_t count = 0;
        Token_Event event;
        auto const visit = [&](Raw_Event const& raw) -> Result<void> {
            if (raw.json.find(charge.lease.id) == std::string_view::npos)
                return {};
            if (auto const read = event.read(raw); !read)
                return read.error();
            count += event.lease == charge.lease.id && event.accepted() ? 1U : 0U;
            return {};
        };
        for (auto const window : *windows) {
            Read_State state;
            if (auto const read = log_->read(window, state, visit); !read)
                return read.error();
        }
        return count;
    }

    /// Addresses hold '.' or ':'; nothing that may be one is kept.
    static auto is_hash(std::string_view text) -> bool {
        return text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
                   return is_ascii_letter(c) || is_ascii_digit(c) || c == '_' || c == '-';
               });
    }

    /// Takes back a use that another caller with the same action_id has made as well.
    auto give_back(Spending& spending) -> Result<void> {
        if (spending.unit) {
            std::move(*spending.unit).give_back();
            spending.unit.reset();
            return {};
        }
        auto const done = change_with(*spending.desk, [](Token_Record& token, Utc_Time) -> Result<bool> {
            if (token.usage_count == 0)
                return false;
            --token.usage_count;
            return true;
        });
        if (!done)
            return done.error();
        return {};
    }

    auto granted_already(Desk& desk) -> Result<Token_Use> {
        auto const token = desk.token.read();
        if (!token)
            return token.error();
        return *token ? outcome_of(**token, Token_Status::active) : refused_unknown();
    }

    /// @param  change  (Token_Record&, Utc_Time) -> Result<bool>: whether it changed anything
    /// @return the token afterwards; nothing if there is no such token
    template <class Change>
    auto change_with(Desk& desk, Change&& change) -> Result<std::optional<Token_Record>> {
        class Do final : public Token_Change {
          public:
            explicit Do(Change& change) : change_(change) {}
            auto apply(Token_Record& token, Utc_Time now) -> bool override {
                auto const changed = change_(token, now);
                outcome = changed ? Result<std::optional<Token_Record>>(token) : changed.error();
                return changed && *changed;
            }
            Result<std::optional<Token_Record>> outcome = std::optional<Token_Record>();

          private:
            Change& change_;
        } doing(change);
        if (auto const known = desk.token.change(doing); !known)
            return known.error();
        else if (!*known)
            return std::optional<Token_Record>();
        return std::move(doing.outcome);
    }

    template <class Change>
    auto edit(std::string_view token_name, Change&& change) -> Result<Token> {
        auto const desk = find_desk(token_name);
        if (!desk)
            return desk.error();
        if (!*desk)
            return unknown_token();
        auto const token = change_with(**desk, change);
        if (!token)
            return token.error();
        if (!*token)
            return unknown_token();
        return shown(**token);
    }

    static constexpr std::size_t most_desks = 10'000;
    static constexpr std::uint64_t largest_block = 1'000'000'000;

    Storage& storage_;
    Namespace_Name name_;
    Tokens_Options options_;
    std::string folder_;
    Per_Process<Callers> callers_;
    std::atomic<std::uint64_t> failed_tidying_{0};
    std::unique_ptr<Event_Log<Storage>> log_; // goes first: what it does in the background is done to those above
    Entry_Store<Storage> entries_;
    LETS_Aggregator<Storage, Token_Event, Tokens_Summary> aggregator_;
    std::atomic<std::uint64_t> lost_events_{0};
};

} // namespace memfs_cache
