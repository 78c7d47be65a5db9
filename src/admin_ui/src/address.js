// SPDX-License-Identifier: Apache-2.0
// What is shown stands in the address, behind '#': a panel and its parameters. Back, forward, reload and a copied link
// show the same again.

export class Address extends EventTarget {
  constructor() {
    super();
    addEventListener("popstate", () => this.dispatchEvent(new Event("change")));
  }

  get panel() {
    return location.hash.slice(1).split("?")[0];
  }

  get parameters() {
    return new URLSearchParams(location.hash.split("?").slice(1).join("?"));
  }

  get(name, otherwise = "") {
    return this.parameters.get(name) ?? otherwise;
  }

  all(name) {
    return this.parameters.getAll(name);
  }

  /// Changes parameters: a text or a list; undefined, "" and [] remove. With `replace` no step back leads here.
  set(changes, { replace = false } = {}) {
    const parameters = this.parameters;
    for (const [name, value] of Object.entries(changes)) {
      parameters.delete(name);
      for (const one of Array.isArray(value) ? value : [value])
        if (one !== undefined && one !== "") parameters.append(name, one);
    }
    this.go(this.panel, parameters, { replace });
  }

  go(panel, parameters = new URLSearchParams(), { replace = false } = {}) {
    const target = Address.of(panel, parameters);
    if (target === location.hash) return;
    history[replace ? "replaceState" : "pushState"](null, "", target);
    this.dispatchEvent(new Event("change"));
  }

  static of(panel, parameters = {}) {
    const query = new URLSearchParams(parameters).toString();
    return `#${panel}${query ? "?" + query : ""}`;
  }
}

export const address = new Address();
