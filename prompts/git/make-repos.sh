#!/bin/sh
# Makes what git.jsonl asks about, in this folder: repo, which the prompts only read, and draft, which they change.
set -eu
mkdir repo draft

# The same hashes wherever it is run, whatever git is told to do elsewhere.
export GIT_AUTHOR_DATE=2026-01-02T03:04:05Z GIT_COMMITTER_DATE=2026-01-02T03:04:05Z
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

cd repo
git init -q
git symbolic-ref HEAD refs/heads/main
git config user.name Ada
git config user.email ada@example.com
printf 'def greet(name):\n    return "Hello, " + name\n' > greet.py
git add greet.py
git commit -q -m 'Start the greeter'
git tag v1.0
printf 'def greet(name):\n    return f"Hello, {name}!"\n' > greet.py
git commit -q -a -m 'Greet with an exclamation mark'
git checkout -q -b farewell
printf 'def goodbye(name):\n    return f"Goodbye, {name}!"\n' > goodbye.py
git add goodbye.py
git commit -q -m 'Say goodbye'
git checkout -q main
echo 'Greets people by name.' > README.md  # never added
printf '\n\nprint(greet("world"))\n' >> greet.py  # never committed
cd ..

git clone -q repo draft
cd draft
git config user.name Ada
git config user.email ada@example.com
echo 'Greet in Esperanto, too.' > ideas.txt
