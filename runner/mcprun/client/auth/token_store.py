"""Store tokens: one file per server and client, in a folder that only the user can open.

`MCPRUN_TOKEN_STORE` names the folder; the default is `mcprun/tokens` in `XDG_STATE_HOME` (`~/.local/state`). If the
package keyring is installed (the extra `keyring`) and a keyring works, it holds the secrets, and the file names it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from mcprun._util.operating_system import lock
from mcprun.client.auth.stored_token import Key, StoredToken
from mcprun.config.project import TOKEN_STORE
from mcprun.errors import UsageError
from mcprun.runs.identify import flaw

_SERVICE = "mcprun"
_POLL_SECONDS = 0.05
_HELD = "held by"


class TokenStore:
    """A folder of tokens. Files are replaced atomically, so that no process reads half of one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def find(cls, variables: Mapping[str, str] | None = None) -> Self:
        """Return the user's store. `variables` default to the environment."""
        environment = os.environ if variables is None else variables
        if folder := environment.get(TOKEN_STORE, "").strip():
            return cls(Path(folder).expanduser())
        state = environment.get("XDG_STATE_HOME", "").strip()
        return cls((Path(state) if state else Path.home() / ".local" / "state") / "mcprun" / "tokens")

    def read(self, key: Key) -> StoredToken | None:
        """Return the stored tokens, or None if there are none or they cannot be read."""
        try:
            stored = json.loads(self._file(key).read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(stored, dict):
            return None
        grant = _read_from_keyring(self._name(key)) if _HELD in stored else json.dumps(stored.get("grant"))
        try:
            return StoredToken.model_validate_json(grant) if grant else None
        except ValidationError:
            return None

    def damage(self, key: Key) -> str:
        """Return what is wrong with the file of stored tokens; empty if there is none, or if it can be read.

        No part of the file is repeated: it may contain secrets.
        """
        file = self._file(key)
        if not file.exists() or self.read(key):
            return ""
        try:
            data = file.read_bytes()
        except OSError as error:
            return f"{file} can't be read: {error.strerror}"
        return f"{file} is {flaw(data) or 'not a file of stored tokens'}"

    def write(self, key: Key, grant: StoredToken) -> str:
        """Store tokens. Return the name of the keyring or the path of the file. Raises `UsageError` if that fails."""
        text = grant.model_dump_json(exclude_none=True)
        head = {"url": key.url, "client": key.client}
        try:
            if held_by := _write_to_keyring(self._name(key), text):
                self._replace(key, {**head, _HELD: held_by})
                return held_by
            self._replace(key, {**head, "grant": json.loads(text)})
        except OSError as error:
            raise UsageError(f"can't store tokens in {self._folder}: {error.strerror}") from None
        return str(self._file(key))

    def forget(self, key: Key) -> bool:
        """Remove the stored tokens. Return whether there were any. Raises `UsageError` if that fails."""
        with suppress(OSError, ValueError):
            if _HELD in json.loads(self._file(key).read_bytes()):
                _delete_from_keyring(self._name(key))
        try:
            self._file(key).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UsageError(f"can't remove {self._file(key)}: {error.strerror}") from None
        return True

    def all(self) -> Iterator[Key]:
        """Yield the keys of all stored tokens, sorted by URL and client."""
        found = []
        for file in self._folder.glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                stored = json.loads(file.read_bytes())
                found.append(Key(str(stored["url"]), str(stored["client"])))
        yield from sorted(found, key=lambda key: (key.url, key.client))

    @asynccontextmanager
    async def locked(self, key: Key) -> AsyncIterator[None]:
        """Lock out other processes that would renew the same tokens: a refresh token is often valid only once.

        The lock is released when the process exits. If the lock file cannot be written or locked, there is no lock.
        """
        try:
            self._make_folder()
            descriptor = os.open(self._file(key).with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            yield
            return
        try:
            while True:
                try:
                    lock(descriptor)
                    break
                except BlockingIOError:
                    await asyncio.sleep(_POLL_SECONDS)
                except OSError:
                    break
            yield
        finally:
            os.close(descriptor)

    def _name(self, key: Key) -> str:
        """Return the name of a key's file and keyring entry: a hash, because a URL is not a valid file name."""
        return hashlib.sha256(f"{key.url}\n{key.client}".encode()).hexdigest()[:32]

    def _file(self, key: Key) -> Path:
        return self._folder / f"{self._name(key)}.json"

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_mode & 0o077:
            self._folder.chmod(0o700)

    def _replace(self, key: Key, contents: dict[str, Any]) -> None:
        self._make_folder()
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".new-")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(contents, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._file(key))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _write_to_keyring(name: str, text: str) -> str | None:
    """Store a secret in the user's keyring and return the keyring's name. None if no keyring returns what it stored."""
    try:
        import keyring

        keyring.set_password(_SERVICE, name, text)
        if keyring.get_password(_SERVICE, name) == text:
            return str(keyring.get_keyring().name)
    except Exception:  # noqa: BLE001  missing, broken or locked: backends raise any exception
        return None
    return None


def _read_from_keyring(name: str) -> str | None:
    try:
        import keyring

        return keyring.get_password(_SERVICE, name)
    except Exception:  # noqa: BLE001  as above; an unreadable entry counts as absent
        return None


def _delete_from_keyring(name: str) -> None:
    with suppress(Exception):
        import keyring

        keyring.delete_password(_SERVICE, name)
