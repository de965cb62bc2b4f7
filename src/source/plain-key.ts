/** What is plainly a key, although it stands where a description has something else. */
import { placeholdersIn } from './fill-in.ts';

/** The end of a name, its words written together: `X-Api-Key`, `access_token`, `clientSecret`. */
const NAMES_KEY =
  /(?:(?:api|app|application|access|auth|user|secret|private|signing|subscription)key|token|secret|password|passwd|passphrase|credentials?|authorization|cookie|signature|jwt|sessionid)$|^(?:auth|pwd|sig)$/;
/** Says where a page begins. */
const NAMES_POSITION = /(?:page|next|previous|start|continuation|cursor|sync|delta)token$/;
/** A word or a number: what is switched on or counted by a parameter that is called so. */
const SAYS_NOTHING = /^(?:true|false|yes|no|none|null|\d{0,3})$/i;
/** Under any name: an authorization, and the keys that say whose they are. */
const LOOKS_LIKE_KEY =
  /^(?:bearer|basic) \S{8}|\b(?:[spr]k_(?:live|test)_\w{8}|gh[opsur]_\w{20}|github_pat_\w{20}|glpat-[\w-]{16}|xox[a-z]-[\w-]{8}|AKIA[A-Z\d]{16}|AIza[\w-]{30}|eyJ[\w-]{8,}\.eyJ[\w-]{8})/i;
/** Under the name `key`, which sorts and selects as well: letters and digits of some length. */
const LOOKS_DRAWN = /^(?=.*\d)(?=.*[a-z])[\w-]{16,}$/i;

/** Whether a text of a description is a key that ought to be a variable of the environment. */
export function isPlainKey(name: string, value: string): boolean {
  if (placeholdersIn(value).length > 0) return false;
  if (LOOKS_LIKE_KEY.test(value)) return true;
  const plain = name.toLowerCase().replaceAll(/[^a-z\d]/g, '');
  if (plain === 'key') return LOOKS_DRAWN.test(value);
  return NAMES_KEY.test(plain) && !NAMES_POSITION.test(plain) && !SAYS_NOTHING.test(value.trim());
}
