/** Why a run that came to its end is not proven. */
import { CountsDisagreeError, GaveUpError } from '../../core/errors.ts';
import type { Proof } from '../../core/state.ts';

export function unstableOrder({ expected, places }: Proof, lacking: number, brought: number): CountsDisagreeError {
  return new CountsDisagreeError(
    `Up to ${lacking} events are missing: the API counts ${expected}, ${places} were served for sure, and walking everything again ` +
      `still brings new ones (${brought} the last time). The API's pages overlap differently each time: events of one time come in no ` +
      'stable order. What came is in the target; npm start looks for the others again.',
  );
}

export function cutAt(cap: number): CountsDisagreeError {
  return new CountsDisagreeError(
    `The list came to ${cap} records, where the API ends it as if it were complete (time.cap of the description): there may be more. ` +
      'What came is in the table. Narrow what is asked for, with one description for each part of the list.',
  );
}

export function doubtfulEnd(windows: number): GaveUpError {
  return new GaveUpError(
    `The API did not say that its list has come to an end (in ${windows} window${windows === 1 ? '' : 's'}): it was asked ` +
      'again in every way, and there is no count that shows it. What came is in the target. Start again when the API is well: ' +
      'the job goes on there.',
  );
}
