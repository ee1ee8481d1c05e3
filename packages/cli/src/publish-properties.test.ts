import { Command } from 'commander'
import { expect, test } from 'vitest'
import {
  addPropertyFlag,
  joinPropertyWords,
  publishProperties,
  type PublishProperties,
} from './publish-properties.ts'

/** Parses a command line with -D as `inferwire infer` does. */
function parsed(...argv: string[]): { properties: PublishProperties; args: string[]; data: unknown } {
  const command = addPropertyFlag(new Command('infer').argument('<model>').option('-d, --data <JSON>'))
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
  command.parse(joinPropertyWords(command, argv), { from: 'user' })
  const { property, data } = command.opts<{ property?: string[]; data?: string }>()
  return { properties: publishProperties(property), args: command.args, data }
}

test('each -D takes as many words as in mosquitto_pub, wherever it is on the line', () => {
  const { properties, args, data } = parsed(
    ...'-D publish user-property x-line -3 iris -D PUBLISH content-type image/jpeg -d {} --property'.split(
      ' ',
    ),
    'publish',
    'user-property',
    'a b',
    '',
    ...'-D publish message-expiry-interval 30'.split(' '),
  )
  expect(properties).toEqual({
    headers: { 'x-line': '-3', 'a b': '' },
    contentType: 'image/jpeg',
    expirySeconds: 30,
  })
  expect({ args, data }).toEqual({ args: ['iris'], data: '{}' })
})

test('treats a name such as __proto__ like any other', () => {
  const { headers } = parsed('iris', '-D', 'publish', 'user-property', 'constructor', '1').properties
  expect(Object.entries(headers)).toEqual([['constructor', '1']])
})

test('does not change the words of a command without -D, nor those after --', () => {
  const argv = ['-D', 'publish', 'user-property', 'a', 'b']
  expect(joinPropertyWords(new Command('passwd').option('-D, --delete'), argv)).toEqual(argv)
  const command = addPropertyFlag(new Command('infer'))
  expect(joinPropertyWords(command, ['--', ...argv])).toEqual(['--', ...argv])
})

test.each([
  [['connect', 'user-property', 'a', 'b'], /-D connect is not supported/],
  [['publish'], /lacks a value/],
  [['publish', 'user-property', 'a'], /user-property lacks a value/],
  [['publish', 'content-type'], /content-type lacks a value/],
  [['publish', 'message-expiry-interval', '0'], /above 0/],
  [['publish', 'message-expiry-interval', '1e3'], /above 0/],
  [['publish', 'correlation-data', 'x'], /cannot be set/],
  [['publish', 'response-topic', 'x'], /cannot be set/],
  [['publish', 'topic-alias', '1'], /not supported/],
  [['publish', 'constructor'], /not supported/],
  [['publish', 'user-property', 'a', 'b', '-D', 'publish', 'user-property', 'a', 'c'], /given twice/],
])('refuses -D %j', (words, message) => {
  expect(() => parsed('iris', '-D', ...words)).toThrow(
    expect.objectContaining({ exitCode: 64, message: expect.stringMatching(message) as string }),
  )
})
