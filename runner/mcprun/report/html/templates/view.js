// The view that the page's address selects, the list or one query, and the keyboard shortcuts.

const LIST_KEYS = [
  ['/', 'search'], ['j  k', 'next and previous row'], ['Enter', 'open the row'], ['Esc', 'in the search: clear it, then leave it'],
  ['?', 'this list'],
];
const QUERY_KEYS = [
  ['j  →', 'next query'], ['k  ←', 'previous query'], ['e', 'expand or fold all calls'], ['Esc', 'all queries'], ['?', 'this list'],
];

/** Maximum number of queries that are printed below the list. */
const PRINTED_QUERIES = 50;

/**
 * `table` holds the rows; `draw` renders one of them (row → nodes). `isPrinted` (row → boolean) selects those that are
 * printed whole below the list, if it lists them.
 */
class View {
  constructor(table, draw, isPrinted = () => false) {
    Object.assign(this, { table, draw, isPrinted });
    this.list = document.getElementById('list');
    this.open = document.getElementById('open');
    this.unknown = document.getElementById('unknown');
    this.rows = new Map(table.rows.map((row) => [row.key, row]));
    this.row = null;
    this.call = null;
    this.scrolled = 0;
    this.title = document.title;
    this.fromList = false;
    this.help = this.keys();
    table.changed = () => this.write();
    this.open.addEventListener('click', (event) => this.followCall(event));
    addEventListener('hashchange', () => this.show(true));
    addEventListener('keydown', (event) => this.key(event));
    addEventListener('beforeprint', () => this.print());
    addEventListener('afterprint', () => this.restore());
    this.printed = el('section', { id: 'printed', hidden: true });
    this.list.append(this.printed);
    this.show();
  }

  /** Show what the address names. `moved` is true if the reader came from another view of this page. */
  show(moved = false) {
    const parts = readAddress();
    const unknown = this.table.differs(parts) ? this.table.read(parts) : [];
    const row = this.rows.get(parts.get('q')) || null;
    if (parts.has('q') && !row) unknown.push(`query “${parts.get('q')}”`);
    const before = this.row;
    if (!before && row) Object.assign(this, { scrolled: scrollY, fromList: moved });
    if (row && this.table.hidesFolded && this.table.folded.has(row)) this.table.expand();
    Object.assign(this, { row, call: parts.get('call') || null });
    this.list.hidden = row !== null;
    this.open.hidden = row === null;
    document.title = row ? `${row.name}: ${this.title}` : this.title;
    if (row && row === before) {
      this.fromList = false; // a step within the query: the browser's back button no longer leads to the list
    } else if (row) {
      this.open.replaceChildren(this.bar(), ...this.draw(row));
      scrollTo(0, 0);
      this.open.querySelector('h1').focus({ preventScroll: true });
    } else if (before && !row) {
      this.open.replaceChildren();
      scrollTo(0, this.scrolled);
      this.table.focus(before);
    } else if (moved && !row && parts.size) {
      this.table.status.scrollIntoView({ block: 'start' });
    }
    if (row && this.call !== null && !this.reveal(this.call)) unknown.push(`call “${this.call}”`);
    this.warn(unknown);
  }

  /** Say which parts of the address this page does not have. */
  warn(unknown) {
    this.unknown.hidden = !unknown.length;
    this.unknown.textContent = unknown.length ? `Not on this page: ${unknown.join(', ')}.` : '';
  }

  /** Keep in the address what is shown, without a step in the browser's history. */
  write() {
    this.warn([]);
    history.replaceState(history.state, '', this.address() === '#' ? location.pathname + location.search : this.address());
  }

  address() {
    return addressOf([...this.table.parts(), ['q', this.row && this.row.key], ['call', this.call]]);
  }

  /** Unfold a call of the open query and scroll to it; return false if it has none with that number. */
  reveal(number) {
    const call = [...this.open.querySelectorAll('[data-call]')].find(({ dataset }) => dataset.call === number);
    if (!call) return this.open.querySelector('[data-call]') === null && this.row.calls > Number(number); // omitted
    call.open = true;
    const summary = call.querySelector('summary');
    summary.focus({ preventScroll: true });
    summary.scrollIntoView({ block: 'start' });
    return true;
  }

  /** Keep in the address which call was unfolded last. */
  followCall({ target }) {
    const summary = target.closest('summary');
    if (!summary || !summary.parentElement.dataset.call) return;
    const { dataset, open } = summary.parentElement;
    if (open && this.call !== dataset.call) return;
    this.call = open ? null : dataset.call;
    this.write();
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
      el('button', { type: 'button', onclick: () => this.unfold() }, 'Expand all'),
      el('button', { type: 'button', 'aria-label': 'Keys', onclick: () => this.showKeys() }, '?'));
  }

  /** Open another row in place of this one, so that the browser's back button returns to the list. */
  go(row) {
    if (row) location.replace(this.table.linkTo(row));
  }

  close() {
    if (this.fromList) history.back();
    else location.hash = addressOf(this.table.parts());
  }

  /** Unfold all folded elements. If there are none, fold all, unless they must be unfolded. */
  unfold(always = false) {
    const all = [...(this.row ? this.open : this.list).querySelectorAll('details')];
    const open = always || all.some((one) => !one.open);
    for (const one of all) one.open = open;
  }

  /** Unfold everything for print, and print below the list the queries that need a look. */
  print() {
    this.folded = [...(this.row ? this.open : this.list).querySelectorAll('details:not([open])')];
    const rows = this.row ? [] : this.table.shown.filter(this.isPrinted);
    const left = rows.length - PRINTED_QUERIES;
    this.printed.replaceChildren(...rows.slice(0, PRINTED_QUERIES).map((row) => el('article', {}, this.draw(row))),
      left > 0 ? el('p', { class: 'note' }, `… and ${many(left, `more ${this.table.noun}`)} that did not pass. Filter the list to print others.`) : '');
    this.printed.hidden = !rows.length;
    this.unfold(true);
  }

  restore() {
    this.printed.replaceChildren();
    this.printed.hidden = true;
    for (const one of this.folded || []) one.open = false;
  }

  /** Return the dialog that lists the keys, and offer it on the list. */
  keys() {
    const dialog = el('dialog', { class: 'keys', 'aria-labelledby': 'keys-title' });
    document.body.append(dialog);
    const button = document.getElementById('keys');
    button.addEventListener('click', () => this.showKeys());
    button.hidden = false;
    return dialog;
  }

  showKeys() {
    const all = this.row ? QUERY_KEYS : LIST_KEYS;
    this.help.replaceChildren(el('h2', { id: 'keys-title' }, 'Keys'),
      el('dl', {}, all.map(([keys, what]) => el('div', {},
        el('dt', {}, keys.split('  ').map((key) => el('kbd', {}, key))), el('dd', {}, what)))),
      el('button', { type: 'button', onclick: () => this.help.close() }, 'Close'));
    this.help.showModal();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || this.help.open) return;
    const isTyping = event.target.matches('input, select, textarea');
    if (this.inInput(event) || isTyping) return;
    if (event.key.startsWith('Arrow') && 'scrolls' in event.target.dataset) return; // the region itself scrolls
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
    actions['?'] = () => this.showKeys();
    if (!this.row && this.table.focused()) {
      Object.assign(actions, { ArrowDown: () => this.move(1), ArrowUp: () => this.move(-1) });
    }
    if (Object.hasOwn(actions, event.key)) {
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
      this.table.set({ words: '' });
    } else if (event.key === 'Enter' || event.key === 'ArrowDown') {
      this.table.set({ words: search.value });
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
