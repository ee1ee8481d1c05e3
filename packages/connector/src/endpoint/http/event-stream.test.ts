// Tests the parser of server-sent events: line ends, divided chunks, comments, and limits.
import { expect, test } from 'vitest'
import { EventStreamParser, EventTooLargeError } from './event-stream.ts'

function parse(chunks: readonly (string | Buffer)[], bytesMax = 1_000): (string | [string, string])[] {
  const events: (string | [string, string])[] = []
  const parser = new EventStreamParser((data, name) => {
    events.push(name === '' ? data.toString() : [name, data.toString()])
  }, bytesMax)
  for (const chunk of chunks) parser.push(Buffer.from(chunk as string))
  return events
}

test.each([
  ['two events', 'data: a\n\ndata: b\n\n', ['a', 'b']],
  ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
  ['CR', 'data: a\r\rdata: b\r\r', ['a', 'b']],
  ['mixed line ends', 'data: a\r\ndata: b\rdata: c\n\r\n', ['a\nb\nc']],
  ['several data lines', 'data: {\ndata:  "a": 1\ndata: }\n\n', ['{\n "a": 1\n}']],
  ['no space after the colon', 'data:a\n\n', ['a']],
  ['two spaces after the colon, of which it removes the first', 'data:  a\n\n', [' a']],
  ['comments and unknown fields', ': ping\n\nid: 7\nretry: 10\ndat: x\ndatabase: y\n: x\ndata: a\n\n', ['a']],
  ['a field without a colon', 'data\n\ndata\ndata\n\n', ['', '\n']],
  ['a named event', 'event: error\ndata: a\n\ndata: b\n\n', [['error', 'a'], 'b']],
  ['a name without data, which it drops', 'event: error\n\ndata: b\n\n', ['b']],
  ['a byte order mark', '\ufeffdata: a\n\n', ['a']],
  ['a second byte order mark, which is part of the field', 'data: a\n\n\ufeffdata: b\n\n', ['a']],
  ['an event without its blank line', 'data: a\n\ndata: b\n', ['a']],
  ['blank lines', '\n\n\r\n\r\rdata: a\n\n\n\n', ['a']],
])('reads %s, however the bytes are divided', (_, text, events) => {
  const bytes = Buffer.from(text)
  expect(parse([bytes])).toEqual(events)
  expect(parse(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(events)
  for (let at = 0; at <= bytes.length; at += 1) {
    expect(parse([bytes.subarray(0, at), Buffer.alloc(0), bytes.subarray(at)])).toEqual(events)
  }
})

test('a character may be divided between chunks', () => {
  const bytes = Buffer.from('data: {"text":"ü€😀"}\n\n')
  expect(parse(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(['{"text":"ü€😀"}'])
})

test('the bytes of an event are copied from its chunk', () => {
  const kept: Buffer[] = []
  const parser = new EventStreamParser((data) => kept.push(data), 100)
  const chunk = Buffer.from('data: a\n\n')
  parser.push(chunk)
  chunk.fill(0)
  expect(kept[0]?.toString()).toBe('a')
})

test.each([
  ['an endless line', ['data: ', ...Array.from({ length: 30 }, () => 'x'.repeat(10))]],
  ['an endless comment', [':', ...Array.from({ length: 30 }, () => 'x'.repeat(10))]],
  ['an endless event', Array.from({ length: 30 }, () => 'data: xxxxxxxxx\n')],
  ['an event of endless empty lines', Array.from({ length: 300 }, () => 'data\n')],
  ['one long line', [`data: ${'x'.repeat(200)}\n\n`]],
])('rejects %s', (_, chunks) => {
  expect(() => parse(chunks, 200)).toThrow(EventTooLargeError)
})

test('accepts an event of exactly the maximum size', () => {
  expect(parse([`data:${'x'.repeat(195)}\n\n`], 200)).toHaveLength(1)
})

test('passes on an event without its blank line when the body ends', () => {
  const events: string[] = []
  const parser = new EventStreamParser((data) => events.push(data.toString()), 100)
  parser.push(Buffer.from('data: a\n\ndata: b'))
  expect(events).toEqual(['a'])
  parser.end()
  expect(events).toEqual(['a', 'b'])
})
