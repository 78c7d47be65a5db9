// SPDX-License-Identifier: Apache-2.0
// node build.mjs FOLDER: bundles the page with the packages in FOLDER/node_modules, and writes its files, packed, as the C++
// source FOLDER/page_files.cpp.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const folder = resolve(process.argv[2]);
const here = dirname(fileURLToPath(import.meta.url));
const { build } = createRequire(join(folder, "package.json"))("esbuild");

const bundled = await build({
  entryPoints: { dashboard: join(here, "src/main.js"), theme: join(here, "src/theme.css") },
  outdir: folder,
  nodePaths: [join(folder, "node_modules")],
  bundle: true,
  minify: true,
  format: "esm",
  target: ["chrome123", "firefox120", "safari17.5"],
  conditions: ["production"],
  legalComments: "none",
  logLevel: "warning",
  write: false,
});

const types = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8" };
const files = [
  { path: "/", type: types.html, bytes: readFileSync(join(here, "index.html")) },
  ...bundled.outputFiles.map((file) => {
    const name = file.path.slice(folder.length + 1);
    return { path: "/" + name, type: types[name.split(".").pop()], bytes: file.contents };
  }),
].map((file) => ({ ...file, packed: gzipSync(file.bytes, { level: 9 }) }));

const array = (bytes) => [...bytes].map((byte) => (byte << 24) >> 24).join(",");
const source = `// SPDX-License-Identifier: Apache-2.0
// Made by src/admin_ui/build.mjs.
#include <memfs_cache/http/admin_page.hpp>

#include <array>

namespace memfs_cache {
namespace {

${files.map((file, i) => `constexpr char file_${i}[] = {${array(file.packed)}};`).join("\n")}

constexpr std::array<Page_File, ${files.length}> files{{
${files.map((file, i) => `    {"${file.path}", "${file.type}", {file_${i}, sizeof file_${i}}},`).join("\n")}
}};

} // namespace

auto built_page_files() noexcept -> std::span<Page_File const> { return files; }

} // namespace memfs_cache
`;
writeFileSync(join(folder, "page_files.cpp"), source);
const total = files.reduce((sum, file) => sum + file.packed.length, 0);
console.log(`dashboard: ${(total / 1024).toFixed(1)} KB compressed`);
