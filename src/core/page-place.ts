/** Where a page is in its run. */
export interface PagePlace {
  readonly windowId: number;
  /** Its number in the window, from 1. */
  readonly page: number;
}

/** For messages: `window 3, page 7`. */
export function describePlace({ windowId, page }: PagePlace): string {
  return `window ${windowId}, page ${page}`;
}
