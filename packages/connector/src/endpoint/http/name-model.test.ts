import { expect, test } from 'vitest'
import { findNamedModel } from '../../admission/named-model.ts'
import { nameModel } from './name-model.ts'

test.each([
  ['{"model":"m","n":9007199254740993}', '{"model":"on/server\\"","n":9007199254740993}'],
  [
    ' { "a" : 1 , "model" : "\\u006d" , "b" : "\\ud800" } ',
    ' { "a" : 1 , "model" : "on/server\\"" , "b" : "\\ud800" } ',
  ],
  ['{"a":"ü"}', '{"model":"on/server\\"","a":"ü"}'],
  ['{ }', '{"model":"on/server\\"" }'],
])('changes only the bytes of the name: %s', (text, named) => {
  const body = Buffer.from(text)
  const place = findNamedModel(body, 'model', 'm')
  expect(nameModel(body, 'model', place, 'on/server"').toString()).toBe(named)
})

test('does not copy a body that already has the name', () => {
  const body = Buffer.from('{"model":"m"}')
  expect(nameModel(body, 'model', findNamedModel(body, 'model', 'm'), 'm')).toBe(body)
})
