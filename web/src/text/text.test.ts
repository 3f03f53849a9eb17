import { expect, test } from 'vitest';
import { en } from './en.ts';
import { ko } from './ko.ts';

test('problems and flaws are told in every language', () => {
  expect(Object.keys(ko.problems)).toEqual(Object.keys(en.problems));
  expect(Object.keys(ko.flaws)).toEqual(Object.keys(en.flaws));
});
