/**
 * Which way a request takes. Loopback is always reached directly, and so are the hosts of `NO_PROXY`. A proxy is asked for an
 * http address by its whole URL, as RFC 9112 has it, and for an https address to open a tunnel.
 */
import { Agent, ProxyAgent, type Dispatcher } from 'undici';
import { basicCredentials } from '../core/addresses.ts';

export interface ProxySettings {
  /** URLs as in `HTTP_PROXY` and `HTTPS_PROXY`; empty or `null` is none. Without the second the first takes https as well. */
  readonly httpProxy: string | null;
  readonly httpsProxy: string | null;
  /** As in `NO_PROXY`. */
  readonly noProxy: string | null;
}

/** How one request is sent. */
interface Route {
  readonly dispatcher: Dispatcher;
  readonly origin: string;
  readonly path: string;
  /** Besides the request's own. */
  readonly headers: Readonly<Record<string, string>>;
}

interface Proxy {
  readonly origin: string;
  /** `Proxy-Authorization`; `null` when the proxy's address names nobody. */
  readonly credentials: string | null;
}

export class Routes {
  readonly #direct: Agent;
  readonly #httpProxy: Proxy | null;
  readonly #tunnel: ProxyAgent | null;
  readonly #isExempt: (url: URL) => boolean;

  /** @param agentOptions for the connections to the API and to proxies */
  constructor(agentOptions: Agent.Options, { httpProxy, httpsProxy, noProxy }: ProxySettings) {
    this.#direct = new Agent(agentOptions);
    this.#httpProxy = readProxy(httpProxy);
    const tunneling = readProxy(httpsProxy) ?? this.#httpProxy;
    this.#tunnel =
      tunneling === null
        ? null
        : new ProxyAgent({
            ...agentOptions,
            uri: tunneling.origin,
            ...(tunneling.credentials === null ? {} : { token: tunneling.credentials }),
          });
    this.#isExempt = readNoProxy(noProxy ?? '');
  }

  of(url: URL): Route {
    const direct = { origin: url.origin, path: `${url.pathname}${url.search}`, headers: {} };
    const isDirect = isLoopback(url.hostname) || this.#isExempt(url);
    if (url.protocol === 'https:') {
      return { ...direct, dispatcher: isDirect ? this.#direct : (this.#tunnel ?? this.#direct) };
    }
    if (isDirect || this.#httpProxy === null) return { ...direct, dispatcher: this.#direct };
    const { origin, credentials } = this.#httpProxy;
    return {
      dispatcher: this.#direct,
      origin,
      path: `${direct.origin}${direct.path}`,
      headers: { host: url.host, ...(credentials === null ? {} : { 'proxy-authorization': credentials }) },
    };
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await Promise.all([this.#direct.destroy(), this.#tunnel?.destroy()]);
  }
}

function readProxy(address: string | null): Proxy | null {
  if (!address) return null;
  return { origin: new URL(address).origin, credentials: basicCredentials(address) };
}

/** The proxy of a machine cannot reach what listens on ours. */
function isLoopback(hostname: string): boolean {
  if (/^(.+\.)?localhost\.?$/.test(hostname)) return true;
  // As URL writes them, an IPv4 address inside an IPv6 one, too.
  return /^(127\.|0\.0\.0\.0$|\[::1?\]$|\[::ffff:(7f..:|0:0\]))/.test(hostname);
}

/** Entries are hosts, which stand for the hosts below them as well, some with a port; `*` is every host. */
function readNoProxy(text: string): (url: URL) => boolean {
  const entries = text
    .toLowerCase()
    .split(/[,\s]+/)
    .filter((entry) => entry !== '')
    .map((entry) => {
      const [, host = entry, port = ''] = /^(.+?):(\d+)$/.exec(entry) ?? [];
      return { host: host.replace(/^\*?\./, ''), port };
    });
  return ({ protocol, hostname, port }) => {
    const actualPort = port || (protocol === 'https:' ? '443' : '80');
    return entries.some(
      (entry) =>
        (entry.port === '' || entry.port === actualPort) &&
        (entry.host === '*' || hostname === entry.host || hostname.endsWith(`.${entry.host}`)),
    );
  };
}
