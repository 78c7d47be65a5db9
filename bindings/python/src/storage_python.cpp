// SPDX-License-Identifier: Apache-2.0
#include "storage.hpp"
#include <memfs_cache/core/cache_hash.hpp>

#include <algorithm>

namespace memfs_cache::python {
namespace {

/// Storage in an object of Python's with the methods of Memory-FS's Storage_FS. It must not be called with the
/// interpreter's lock held by somebody who waits for the caller.
///
/// Conditions   an object that offers file__bytes_and_version and file__save_if decides them itself, atomically. For any
///              other one they are decided here: they hold within this object and no further, so it promises none.
class Object_Storage {
  public:
    explicit Object_Storage(py::object files) : state_(std::make_shared<State>(std::move(files))) {}

    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        return ask([&]() -> Result<std::optional<Object>> {
            auto found = state_->load(key);
            if (found) {
                auto const size = found->bytes.size();
                auto const begin = std::min<std::uint64_t>(range.offset, size);
                found->bytes = found->bytes.substr(begin, std::min<std::uint64_t>(range.length, size - begin));
                state_->counters.read(found->bytes.size());
            } else {
                state_->counters.read(0);
            }
            return found;
        });
    }

    [[nodiscard]] auto put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& = {})
        -> Result<Put_Outcome> {
        return ask([&]() -> Result<Put_Outcome> {
            state_->counters.write(bytes.size());
            return state_->save(key, bytes, when);
        });
    }

    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
        return ask([&]() -> Result<bool> {
            state_->counters.erase();
            State::Alone const alone(*state_);
            if (when.kind() != Precondition::Kind::none) {
                auto const present = state_->load(key);
                if (!present || when.kind() == Precondition::Kind::absent || present->version != when.version())
                    return false;
            }
            return state_->files.attr("file__delete")(key.str()).cast<bool>();
        });
    }

    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page> {
        if (auto const good = check_list_query(query); !good)
            return good.error();
        return ask([&]() -> Result<Page> {
            state_->counters.list();
            std::vector<std::string> keys;
            for (auto const& path : state_->files.attr("files__paths")())
                if (auto key = py::str(path).cast<std::string>();
                    key.starts_with(query.prefix) && key > query.start_after && Storage_Key::parse(key))
                    keys.push_back(std::move(key));
            std::sort(keys.begin(), keys.end());
            Page page;
            for (auto& key : keys) {
                if (page.items.size() == query.limit) {
                    page.next = page.items.back().key;
                    break;
                }
                if (auto const found = state_->load(Storage_Key(key)))
                    page.items.push_back({std::move(key), found->bytes.size(), found->version});
            }
            return page;
        });
    }

    /// Writes the whole object again.
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t at, Byte_View bytes, Durability)
        -> Result<Put_Outcome> {
        return ask([&]() -> Result<Put_Outcome> {
            state_->counters.append(bytes.size());
            if (!state_->decides_conditions)
                return fail(Errc::unsupported,
                            "the storage in Python knows no conditions, and an append is one; give it "
                            "file__bytes_and_version and file__save_if");
            auto const present = state_->load(key);
            if ((present ? present->bytes.size() : 0) != at)
                return Put_Outcome{Put_State::not_applied, {}};
            return present
                       ? state_->save(key, present->bytes + std::string(bytes), Precondition::only_if(present->version))
                       : state_->save(key, bytes, Precondition::absent());
        });
    }

    [[nodiscard]] auto sync() -> Result<void> { return {}; }
    [[nodiscard]] auto counters() const -> Operation_Counts { return state_->counters.snapshot(); }
    /// It counts as outliving the process whether it does or not: the library then never asks it under a lock of its own.
    [[nodiscard]] auto capabilities() const -> Capabilities {
        Capabilities offered;
        offered.conditional_put = offered.append = state_->decides_conditions;
        offered.versions_recur = !state_->decides_conditions;
        offered.survives_process = true;
        offered.max_value_bytes = UINT64_MAX;
        return offered;
    }

  private:
    struct State {
        explicit State(py::object given)
            : files(std::move(given)),
              decides_conditions(py::hasattr(files, "file__bytes_and_version") && py::hasattr(files, "file__save_if")),
              lock(py::module_::import("threading").attr("Lock")()) {}
        State(State const&) = delete;
        auto operator=(State const&) -> State& = delete;
        ~State() {
            if (Py_IsInitialized() == 0) { // nobody is left to give them back to
                (void)files.release();
                (void)lock.release();
                return;
            }
            py::gil_scoped_acquire const held;
            files = py::object();
            lock = py::object();
        }

        /// One at a time changes what the object itself does not guard. A lock of Python's, since waiting for it lets the
        /// one go on that holds it.
        class Alone {
          public:
            explicit Alone(State& state) : lock_(state.lock) { lock_.attr("acquire")(); }
            Alone(Alone const&) = delete;
            auto operator=(Alone const&) -> Alone& = delete;
            ~Alone() { lock_.attr("release")(); }

          private:
            py::object lock_;
        };

        auto load(Storage_Key const& key) const -> std::optional<Object> {
            if (decides_conditions) {
                auto const found = files.attr("file__bytes_and_version")(key.str());
                if (found.is_none())
                    return std::nullopt;
                auto const pair = found.cast<std::pair<py::bytes, py::str>>();
                return Object{pair.first, Version{pair.second}};
            }
            auto const found = files.attr("file__bytes")(key.str());
            if (found.is_none())
                return std::nullopt;
            Bytes bytes = found.cast<py::bytes>();
            Version version{hash.from_bytes(bytes)};
            return Object{std::move(bytes), std::move(version)};
        }

        auto save(Storage_Key const& key, Byte_View bytes, Precondition const& when) -> Result<Put_Outcome> {
            py::bytes const data(bytes.data(), bytes.size());
            if (when.kind() == Precondition::Kind::none) {
                Alone const alone(*this);
                return saved(key, bytes, data);
            }
            if (decides_conditions) {
                auto const expected =
                    when.kind() == Precondition::Kind::absent ? py::object(py::none()) : py::str(when.version().token);
                auto const version = files.attr("file__save_if")(key.str(), data, expected);
                if (version.is_none())
                    return Put_Outcome{Put_State::not_applied, {}};
                return Put_Outcome{Put_State::applied, Version{version.cast<std::string>()}};
            }
            Alone const alone(*this);
            auto const present = load(key);
            bool const holds =
                when.kind() == Precondition::Kind::absent ? !present : present && present->version == when.version();
            return holds ? saved(key, bytes, data) : Put_Outcome{Put_State::not_applied, {}};
        }

        auto saved(Storage_Key const& key, Byte_View bytes, py::bytes const& data) -> Result<Put_Outcome> {
            if (!files.attr("file__save")(key.str(), data).cast<bool>())
                return fail(Errc::unavailable, key.str() + ": file__save of the storage did not say True");
            auto const present = load(key);
            // Where somebody has overtaken us the version is another's, and ours is gone already.
            bool const is_ours = present && present->bytes == bytes;
            return Put_Outcome{Put_State::applied, is_ours ? present->version : Version{}};
        }

        py::object files;
        bool const decides_conditions;
        py::object lock;
        Cache_Hash const hash = Cache_Hash::create("sha256", 64).value();
        Operation_Counters counters;
    };

    /// Calls the object with the interpreter's lock held, and makes what it raises an Error.
    template <class Work>
    auto ask(Work&& work) const -> decltype(work()) {
        py::gil_scoped_acquire const held;
        try {
            return work();
        } catch (py::error_already_set const& raised) {
            return fail(code_of(raised),
                        "the storage in Python raised " +
                            std::string(py::str("{}: {}").format(raised.type().attr("__name__"), raised.value())));
        } catch (py::cast_error const&) {
            return fail(Errc::unavailable, "the storage in Python gave a value of the wrong type");
        }
    }

    static auto code_of(py::error_already_set const& raised) -> Errc {
        if (py::hasattr(raised.value(), "code"))
            for (auto const& row : errc_table())
                if (py::str(raised.value().attr("code")).cast<std::string>() == row.name)
                    return row.code;
        if (raised.matches(PyExc_PermissionError))
            return Errc::permission_denied;
        if (raised.matches(PyExc_TimeoutError))
            return Errc::timed_out;
        return Errc::unavailable;
    }

    std::shared_ptr<State> state_;
};

static_assert(StorageBackend<Object_Storage>);

} // namespace

auto storage_of_object(py::object files) -> Any_Storage {
    for (auto const* method : {"file__bytes", "file__save", "file__delete", "files__paths"})
        if (!py::hasattr(files, method))
            throw py::type_error(std::string("the object has no method ") + method +
                                 ": give one with those of Memory-FS's Storage_FS");
    return Object_Storage(std::move(files));
}

} // namespace memfs_cache::python
