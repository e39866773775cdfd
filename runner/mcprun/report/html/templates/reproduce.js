// The commands that reproduce a red query, and its text for a coding assistant, to copy.

const COPIED_MS = 2000;

/** Quote a text for a POSIX shell, as Python's shlex.quote does. */
const shellWord = (value) => (/^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'"'"'`)}'`);

/** Select the text of an element, so that it can be copied by the keyboard. */
const select = (node) => {
  const all = document.createRange();
  all.selectNodeContents(node);
  getSelection().removeAllRanges();
  getSelection().addRange(all);
};

/** Write the text of an element to the clipboard. Return false, with the text selected, if the browser refuses. */
const copy = async (node) => {
  try {
    await navigator.clipboard.writeText(node.textContent);
    return true;
  } catch {
    const folded = node.closest('details');
    if (folded) folded.open = true;
    select(node);
    try {
      return document.execCommand('copy');
    } catch {
      return false;
    }
  }
};

/** Draw a row: what is copied, or stands for it, and a button that copies the text of `node`. */
const copyRow = (shown, node, label) => {
  const status = el('span', { class: 'copied', role: 'status' });
  let waiting;
  const press = async () => {
    status.textContent = (await copy(node)) ? 'Copied' : 'Selected: press Ctrl+C or ⌘C';
    clearTimeout(waiting);
    waiting = setTimeout(() => { status.textContent = ''; }, COPIED_MS);
  };
  const button = el('button', { type: 'button', 'aria-label': label, onclick: press }, 'Copy');
  return el('div', { class: 'copy-row' }, shown, el('span', { class: 'control' }, status, button));
};

const command = (value, label) => {
  const code = el('code', {}, value);
  return copyRow(code, code, label);
};

/** Draw the section of a red query, if it is one. `value` holds its `step`, `batch`, `show` and `text`; `run` the `folder` and a `note`. */
const reproduce = (value, run) => {
  if (!value) return [];
  const full = el('pre', { tabindex: '0', 'aria-label': 'Text for a coding assistant' }, value.text);
  const folded = el('details', {}, el('summary', {}, 'For a coding assistant: cause, commands, conversation and log lines'), full);
  return [el('section', { class: 'reproduce', 'aria-labelledby': 'reproduce-title' },
    el('h2', { id: 'reproduce-title' }, 'Reproduce',
      run.folder && el('span', { class: 'note' }, ' in ', el('code', {}, run.folder))),
    value.step && command(value.step, 'Copy the command that makes the call of the failed step'),
    value.batch && command(value.batch, 'Copy the command that runs this query again'),
    command(value.show, 'Copy the command that shows this query'),
    copyRow(folded, full, 'Copy for a coding assistant'),
    run.note && el('p', { class: 'note' }, run.note))];
};

/** Return the command that shows a query, with flags. */
const showCommand = (show, id, ...flags) => (id.startsWith('-') ? [show, ...flags, '--', shellWord(id)] : [show, shellWord(id), ...flags]).join(' ');
