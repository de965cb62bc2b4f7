/** What of a case fits together: its words, what its API and its records are like, and what the program is told. */
import type { ApiTraits, Case, DataTraits, Words } from './drawn-case.ts';

/** What the program is given: a path is not the one that the API has. */
export function givenWords({ words, wrong }: Case): Words {
  const path = ['no', 'such'];
  const { next, more, total } = words;
  switch (wrong) {
    case null:
      return words;
    case 'records':
      return { ...words, records: path };
    case 'next':
      if (next.token !== undefined && 'path' in next.token)
        return { ...words, next: { token: { ...next.token, path } } };
      return typeof next.link === 'object' ? { ...words, next: { link: { path } } } : words;
    case 'more':
      return typeof more === 'object' && 'path' in more ? { ...words, more: { ...more, path } } : words;
    case 'total':
      return total !== undefined && 'path' in total ? { ...words, total: { path } } : words;
  }
}

/** Traits that do not go with the words are taken back. */
export function fitting(drawn: Case): Case {
  const { words, api, data } = drawn;
  const { next, more = 'next-absent', time } = words;
  const isToken = next.token !== undefined || next.link !== undefined;
  const last = next.lastRecord;
  const isShort = more === 'short-page';
  const canBeShort = !isShort && next.count === undefined && last?.inclusive !== true;
  const hasFlag = typeof more === 'object' && !('link' in more && next.link === 'header');
  const apiTraits: ApiTraits = {
    ...api,
    shortEvery: canBeShort ? api.shortEvery : 0,
    emptyEvery: canBeShort && isToken ? api.emptyEvery : 0,
    // Where a short page alone is the end, every page says how to go on.
    isLeftOver: isShort ? true : hasFlag && api.isLeftOver,
    sinceInclusive: api.sinceInclusive || last?.param === time?.since,
    untilInclusive: api.untilInclusive || last?.param === time?.until,
    emptyIsError: api.emptyIsError && words.errors !== undefined,
    // An offset of records needs to know how many a page has.
    ownSize: api.ownSize,
  };
  const hasBounds = time?.since !== undefined || time?.until !== undefined;
  const dataTraits: DataTraits = {
    ...data,
    isFiner: data.isFiner && last?.within === undefined && time?.granularity !== '1us',
    // The last record asks for the next page.
    junkEvery: last === undefined ? data.junkEvery : 0,
    noTimeEvery: hasBounds || last?.within !== undefined ? 0 : data.noTimeEvery,
  };
  return { ...drawn, api: apiTraits, data: dataTraits };
}
