/** Each shipped source with the stub of its vendor: what its description takes from the environment, and what the vendor grants. */
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { GITHUB_LIMIT, GITHUB_REPOSITORY, GITHUB_TOKEN, openGithubIssues } from './github-issues.ts';
import { GITLAB_LIMIT, GITLAB_TOKEN, openGitlabProjects } from './gitlab-keyset.ts';
import { NOTION_DATA_SOURCE, NOTION_LIMIT, NOTION_TOKEN, openNotionPages } from './notion-pages.ts';
import { openSlackChannel, SLACK_CHANNEL, SLACK_LIMIT, SLACK_TOKEN } from './slack-channel.ts';
import { openStripeEvents, STRIPE_KEY, STRIPE_LIMIT } from './stripe-events.ts';
import type { Limit, VendorOptions, VendorStub } from './vendor.ts';
import { openZendeskTickets, ZENDESK, ZENDESK_LIMIT } from './zendesk-tickets.ts';

export interface ShippedSource {
  readonly name: string;
  readonly open: (t: Pick<TestContext, 'after'>, options: VendorOptions) => Promise<VendorStub>;
  readonly environment: Readonly<Record<string, string>>;
  /** Of the environment: the variable that holds the key. */
  readonly key: string;
  /** As documented. */
  readonly limit: Limit;
}

export const SHIPPED: readonly ShippedSource[] = [
  {
    name: 'stripe-events',
    open: openStripeEvents,
    environment: { STRIPE_KEY },
    key: 'STRIPE_KEY',
    limit: STRIPE_LIMIT,
  },
  {
    name: 'github-issues',
    open: openGithubIssues,
    environment: {
      GITHUB_TOKEN,
      GITHUB_OWNER: GITHUB_REPOSITORY.owner,
      GITHUB_REPOSITORY: GITHUB_REPOSITORY.name,
    },
    key: 'GITHUB_TOKEN',
    limit: GITHUB_LIMIT,
  },
  {
    name: 'slack-channel',
    open: openSlackChannel,
    environment: { SLACK_TOKEN, SLACK_CHANNEL },
    key: 'SLACK_TOKEN',
    limit: SLACK_LIMIT,
  },
  {
    name: 'zendesk-tickets',
    open: openZendeskTickets,
    environment: { ZENDESK_SUBDOMAIN: 'example', ZENDESK_EMAIL: ZENDESK.email, ZENDESK_TOKEN: ZENDESK.token },
    key: 'ZENDESK_TOKEN',
    limit: ZENDESK_LIMIT,
  },
  {
    name: 'notion-pages',
    open: openNotionPages,
    environment: { NOTION_TOKEN, NOTION_DATA_SOURCE },
    key: 'NOTION_TOKEN',
    limit: NOTION_LIMIT,
  },
  {
    name: 'gitlab-keyset',
    open: openGitlabProjects,
    environment: { GITLAB_TOKEN },
    key: 'GITLAB_TOKEN',
    limit: GITLAB_LIMIT,
  },
];

export function shipped(name: string): ShippedSource {
  const source = SHIPPED.find((one) => one.name === name);
  if (source === undefined) throw new Error(`no source ${name} is shipped`);
  return source;
}

/** The text of a shipped description, word for word, but that the stub is asked. */
export function descriptionText(name: string, { origin }: Pick<VendorStub, 'origin'>): string {
  const text = readFileSync(new URL(`../../../sources/${name}.yaml`, import.meta.url), 'utf8');
  return text.replace(/^url: https:\/\/[^/]+/m, `url: ${origin}`);
}
