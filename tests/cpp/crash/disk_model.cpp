// SPDX-License-Identifier: Apache-2.0
#include "disk_model.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sys/stat.h>

namespace memfs_cache::testing {
namespace {

constexpr std::uint64_t sector_bytes = 512;

auto inode_of(std::filesystem::path const& path) -> ino_t {
    struct stat status {};
    ::lstat(path.c_str(), &status);
    return status.st_ino;
}

} // namespace

Disk_Model::Disk_Model(std::filesystem::path const& root) {
    add(inode_of(root), true);
    for (auto const& entry : std::filesystem::recursive_directory_iterator(root)) {
        auto const node = add(inode_of(entry.path()), entry.is_directory());
        at(inode_of(entry.path().parent_path())).names[entry.path().filename()].lasting = node;
        if (entry.is_regular_file()) {
            std::ifstream file(entry.path(), std::ios::binary);
            stored_[node].bytes.assign(std::istreambuf_iterator<char>(file), {});
        }
    }
}

auto Disk_Model::add(ino_t inode, bool is_folder) -> Node {
    auto const node = stored_.size();
    stored_.push_back({is_folder, {}, {}, {}});
    nodes_[inode] = node;
    return node;
}

void Disk_Model::apply(File_Change const& change) {
    using Kind = File_Change::Kind;
    switch (change.kind) {
    case Kind::made_file:
    case Kind::made_folder: {
        auto const node = add(change.node, change.kind == Kind::made_folder);
        at(change.folder).names[change.name].changes.push_back({node});
        break;
    }
    case Kind::renamed: {
        auto& source = at(change.folder).names[change.name];
        at(change.to_folder).names[change.to_name].changes.push_back({source.now()});
        source.changes.push_back({});
        break;
    }
    case Kind::removed:
        at(change.folder).names[change.name].changes.push_back({});
        break;
    case Kind::written:
        at(change.node).writes.push_back({change.offset, change.bytes});
        break;
    case Kind::truncated:
        at(change.node).writes.push_back({change.offset, {}, true});
        break;
    case Kind::flushed:
        if (nodes_.contains(change.node)) // else above the root
            flush(at(change.node));
        break;
    case Kind::flush_failed:
        if (nodes_.contains(change.node))
            give_up(at(change.node));
        break;
    case Kind::all_flushed:
        std::for_each(stored_.begin(), stored_.end(), flush);
        break;
    }
}

void Disk_Model::flush(Stored& stored) {
    for (auto const& each : stored.writes)
        if (!each.given_up)
            write(stored.bytes, each);
    std::erase_if(stored.writes, [](Write const& each) { return !each.given_up; });
    for (auto& [text, name] : stored.names) {
        auto const last = std::find_if(name.changes.rbegin(), name.changes.rend(),
                                       [](Name::Change const& change) { return !change.given_up; });
        if (last == name.changes.rend())
            continue;
        name.lasting = last->node;
        name.changes.erase(name.changes.begin(), last.base());
    }
}

void Disk_Model::give_up(Stored& stored) {
    for (auto& each : stored.writes)
        each.given_up = true;
    for (auto& [text, name] : stored.names)
        for (auto& change : name.changes)
            change.given_up = true;
}

void Disk_Model::write(std::string& bytes, Write const& write) {
    if (write.truncates) {
        bytes.resize(write.offset);
        return;
    }
    if (bytes.size() < write.offset + write.bytes.size())
        bytes.resize(write.offset + write.bytes.size());
    bytes.replace(write.offset, write.bytes.size(), write.bytes);
}

auto Disk_Model::bytes_after_crash(Stored const& file, Luck const& luck) -> std::string {
    enum Fate : std::size_t { lost, only_size, first_part, some_sectors, whole, fates };
    auto bytes = file.bytes;
    for (auto const& each : file.writes) {
        if (each.truncates) {
            if (luck(2) == 1)
                write(bytes, each);
            continue;
        }
        auto const size = each.bytes.size();
        switch (luck(fates)) {
        case only_size:
            if (bytes.size() < each.offset + size)
                bytes.resize(each.offset + size);
            break;
        case first_part: {
            std::size_t const cuts[] = {1, size / 2, size - std::min<std::size_t>(size, 1)};
            write(bytes, {each.offset, each.bytes.substr(0, cuts[luck(std::size(cuts))])});
            break;
        }
        case some_sectors:
            for (std::size_t at = 0; at < size;) {
                auto const to_next_sector = sector_bytes - (each.offset + at) % sector_bytes;
                auto const part = each.bytes.substr(at, to_next_sector);
                if (luck(2) == 1)
                    write(bytes, {each.offset + at, part});
                at += part.size();
            }
            break;
        case whole:
            write(bytes, each);
            break;
        default:
            break;
        }
    }
    return bytes;
}

auto Disk_Model::after_crash(Luck const& luck) const -> Tree {
    Tree tree;
    collect(stored_.front(), "", luck, tree);
    return tree;
}

void Disk_Model::collect(Stored const& folder, std::string const& path, Luck const& luck, Tree& tree) const {
    for (auto const& [text, name] : folder.names) {
        auto const pick = luck(name.changes.size() + 1);
        auto const node = pick == 0 ? name.lasting : name.changes[pick - 1].node;
        if (!node)
            continue;
        auto const& stored = stored_[*node];
        auto const inner = path.empty() ? text : path + "/" + text;
        if (!stored.is_folder) {
            tree[inner] = bytes_after_crash(stored, luck);
            continue;
        }
        tree[inner] = std::nullopt;
        if (text == ".memfs_cache") {
            // What the storage keeps for itself is all there or all lost: its own combinations would outnumber those of
            // the objects by far.
            bool const lasts = luck(2) == 1;
            collect(
                stored, inner, [&](std::size_t n) { return lasts ? n - 1 : 0; }, tree);
        } else {
            collect(stored, inner, luck, tree);
        }
    }
}

void write_tree(std::filesystem::path const& folder, Tree const& tree) {
    for (auto const& [path, bytes] : tree) { // a folder sorts before what is in it
        if (bytes)
            std::ofstream(folder / path, std::ios::binary) << *bytes;
        else
            std::filesystem::create_directory(folder / path);
    }
}

} // namespace memfs_cache::testing
