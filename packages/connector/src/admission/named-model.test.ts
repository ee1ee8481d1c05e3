// Tests which model a body may name: it must not select a model other than the one in the topic.
import { expect, test } from 'vitest'
import { findNamedModel } from './named-model.ts'

const find = (body: string | Buffer) => findNamedModel(Buffer.from(body as string), 'model', 'iris.prod')

test('finds the name, or the place where it can be inserted', () => {
  expect(find('{"a":1,"model": "iris.prod" }')).toEqual({ start: 16, end: 27, isEmpty: false })
  expect(find('{"model":"ir\\u0069s.prod"}')).toEqual({ start: 9, end: 25, isEmpty: false })
  expect(find(' {"messages":[{"model":"other"}]}')).toEqual({ start: 2, end: 2, isEmpty: false })
  expect(find('{}')).toEqual({ start: 1, end: 1, isEmpty: true })
})

test.each([
  ['another model', '{"model":"other"}', 'forbidden_model'],
  ['a name that begins with the model', '{"model":"iris.prod.2"}', 'forbidden_model'],
  ['an empty name', '{"model":""}', 'forbidden_model'],
  ['an escaped member', '{"\\u006dodel":"other"}', 'forbidden_model'],
  ['another model in a second member of this name', '{"model":"iris.prod","model":"other"}', 'bad_payload'],
  ['the same model twice', '{"model":"iris.prod","model":"iris.prod"}', 'bad_payload'],
  ['a second member in another case', '{"model":"iris.prod","mOdel":"other"}', 'bad_payload'],
  ['only a member in another case', '{"MODEL":"iris.prod"}', 'bad_payload'],
  ['null', '{"model":null}', 'bad_payload'],
  ['a number', '{"model":1}', 'bad_payload'],
  ['a list', '{"model":["iris.prod"]}', 'bad_payload'],
  ['text after the object', '{"model":"iris.prod"}{"model":"other"}', 'bad_payload'],
  ['a Python literal', '{"x":NaN,"model":"iris.prod"}', 'bad_payload'],
  ['UTF-16', Buffer.from('{"model":"other"}', 'utf16le'), 'bad_payload'],
  ['an overlong encoding', Buffer.from('{"\xc1\xadodel":"other"}', 'latin1'), 'bad_payload'],
  ['nesting without end', `{"a":${'['.repeat(10_000)}`, 'bad_payload'],
])('rejects a body with %s', (_, body, code) => {
  expect(() => find(body)).toThrow(expect.objectContaining({ code }) as Error)
})
