// The view that the page's address selects, the list or one query, and the keyboard shortcuts.

/** `table` holds the rows; `draw` renders one of them (row → nodes). */
class View {
  constructor(table, draw) {
    Object.assign(this, { table, draw });
    this.list = document.getElementById('list');
    this.open = document.getElementById('open');
    this.links = new Map(table.rows.map((row) => [row.link, row]));
    this.row = null;
    this.scrolled = 0;
    this.title = document.title;
    this.fromList = false;
    addEventListener('hashchange', () => this.show(true));
    addEventListener('keydown', (event) => this.key(event));
    addEventListener('beforeprint', () => this.unfold(true));
    this.show();
  }

  /** Show what the address names. `moved` is true if the reader came from another view of this page. */
  show(moved = false) {
    const row = this.links.get(location.hash) || null;
    const before = this.row;
    if (!before && row) Object.assign(this, { scrolled: scrollY, fromList: moved });
    this.row = row;
    this.list.hidden = row !== null;
    this.open.hidden = row === null;
    document.title = row ? `${row.name}: ${this.title}` : this.title;
    if (row) {
      this.open.replaceChildren(this.bar(), ...this.draw(row));
      scrollTo(0, 0);
      this.open.querySelector('h1').focus({ preventScroll: true });
    } else if (before) {
      this.open.replaceChildren();
      scrollTo(0, this.scrolled);
      this.table.focus(before);
    }
  }

  bar() {
    const at = this.table.shown.indexOf(this.row);
    const step = (arrow, name, by) => {
      const to = at < 0 ? null : this.table.beside(this.row, by);
      return el('button', { type: 'button', disabled: !to, 'aria-label': name, onclick: () => this.go(to) },
        arrow, el('span', { class: 'word' }, ` ${name}`));
    };
    return el('nav', { class: 'bar control', 'aria-label': 'Queries' },
      el('button', { type: 'button', onclick: () => this.close() }, '← All queries'),
      el('span', { class: 'stretch' }),
      at < 0 ? null : el('span', { class: 'note' }, `${grouped(at + 1)} of ${grouped(this.table.shown.length)}`),
      step('↑', 'Previous', -1),
      step('↓', 'Next', 1),
      el('button', { type: 'button', onclick: () => this.unfold() }, 'Expand all'));
  }

  /** Open another row in place of this one, so that the browser's back button returns to the list. */
  go(row) {
    if (row) location.replace(row.link);
  }

  close() {
    if (this.fromList) history.back();
    else location.hash = '';
  }

  /** Unfold all folded elements. If there are none, fold all, unless they must be unfolded. */
  unfold(always = false) {
    const all = [...(this.row ? this.open : this.list).querySelectorAll('details')];
    const open = always || all.some((one) => !one.open);
    for (const one of all) one.open = open;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const isTyping = event.target.matches('input, select, textarea');
    if (this.inInput(event) || isTyping) return;
    const actions = this.row
      ? {
          Escape: () => this.close(),
          j: () => this.go(this.table.beside(this.row, 1)),
          k: () => this.go(this.table.beside(this.row, -1)),
          ArrowRight: () => this.go(this.table.beside(this.row, 1)),
          ArrowLeft: () => this.go(this.table.beside(this.row, -1)),
          e: () => this.unfold(),
        }
      : { '/': () => this.table.search.focus(), j: () => this.move(1), k: () => this.move(-1) };
    if (!this.row && this.table.focused()) {
      Object.assign(actions, { ArrowDown: () => this.move(1), ArrowUp: () => this.move(-1) });
    }
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  }

  /** Handle keys in the search field: Esc clears and then leaves it, Enter and ↓ go to the results. */
  inInput(event) {
    const { search } = this.table;
    if (event.target !== search) return false;
    if (event.key === 'Escape') {
      if (!search.value) search.blur();
      search.value = '';
      this.table.filter();
    } else if (event.key === 'Enter' || event.key === 'ArrowDown') {
      this.table.filter();
      if (this.table.shown.length) this.table.focus(this.table.shown[0]);
    } else {
      return false;
    }
    event.preventDefault();
    return true;
  }

  move(by) {
    const row = this.table.beside(this.table.focused(), by);
    if (row) this.table.focus(row);
  }
}

/** Set each row's `link`, `#q=NAME`, with the row's number if the name is taken. */
const link = (rows) => {
  const taken = new Set();
  rows.forEach((row, number) => {
    const name = `#q=${encodeURIComponent(row.name)}`;
    row.link = taken.has(name) ? `${name}~${number}` : name;
    taken.add(row.link);
  });
};

/** Return a query's id, and the repeat if it is not the first: `add (3)`. */
const named = (id, repeat) => (repeat > 1 ? `${id} (${repeat})` : id);
