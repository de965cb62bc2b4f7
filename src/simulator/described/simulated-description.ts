/** The description of a simulated API, from that of the real one. */
import { parseDocument } from 'yaml';

const MAX_NAME = 40;

/**
 * It asks the simulator, under a name and a table of its own: what is simulated must not come among real records.
 * @param url of the real API, variables filled in
 */
export function simulatedDescription(text: string, url: URL, origin: string): string {
  const document = parseDocument(text);
  const written = String(document.get('url'));
  const behindOrigin = /^https?:\/\/[^/]+(.*)$/.exec(written)?.[1] ?? `${url.pathname}${url.search}`;
  document.set('name', `simulated-${String(document.get('name'))}`.slice(0, MAX_NAME));
  document.delete('table');
  document.set('url', `${origin}${behindOrigin}`);
  return String(document);
}
