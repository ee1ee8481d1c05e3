import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Problem } from './problem.ts'
import {
  isCleanLevel,
  isModelName,
  isPublishable,
  matchesFilter,
  TOPIC_LENGTH_MAX,
  TOPIC_LEVEL_LENGTH_MAX,
  TopicSpace,
} from './topic.ts'

const topics = new TopicSpace('plant/infer')

// Topic levels that clients may send, including every level that has ever caused a failure.
const hostileLevel = fc.oneof(
  fc.constantFrom('', '.', '..', '+', '#', '$SYS', '$share', '%2e%2e', 'a\\b', 'a\0b', '\u0085', '\ud800'),
  fc.constantFrom('request', 'reply', 'infer', 'cam7', 'cam7x', '__proto__', 'constructor'),
  fc.string({ maxLength: 8 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('a'.repeat(TOPIC_LEVEL_LENGTH_MAX + 1), 'a'.repeat(TOPIC_LENGTH_MAX)),
)
const hostileTopic = fc.array(hostileLevel, { maxLength: 7 }).map((levels) => levels.join('/'))
const cleanLevel = fc.string({ minLength: 1, maxLength: 20 }).filter(isCleanLevel)

describe('a request topic', () => {
  test('is parsed into its levels', () => {
    fc.assert(
      fc.property(
        cleanLevel,
        cleanLevel,
        fc.option(cleanLevel, { nil: undefined }),
        fc.option(fc.array(cleanLevel, { minLength: 1 }), { nil: undefined }),
        (client, model, operation, levels) => {
          const id = operation === undefined ? undefined : levels?.join('/')
          const topic = topics.request(client, model, operation, id)
          expect(topics.parseRequest(topic)).toEqual({ client, model, operation, id })
          expect(topics.replyTopicOf(topic)).toBe(topic.replace('/request/', '/reply/'))
        },
      ),
    )
  })

  test('may have a root of several levels', () => {
    expect(topics.requestFilter).toBe('plant/infer/request/#')
    expect(topics.replyFilter('cam7')).toBe('plant/infer/reply/cam7/#')
    expect([topics.card('iris'), topics.status('c')]).toEqual([
      'plant/infer/models/iris',
      'plant/infer/status/c',
    ])
    expect(() => topics.parseRequest('infer/request/cam7/iris')).toThrow('does not begin with')
  })

  test('is parsed or rejected as bad_topic, with a message that is safe to print to a terminal', () => {
    fc.assert(
      fc.property(hostileTopic, (rest) => {
        try {
          const { client } = topics.parseRequest(`plant/infer/request/${rest}`)
          expect(isCleanLevel(client)).toBe(true)
        } catch (error) {
          expect(error).toMatchObject({ name: 'Problem', code: 'bad_topic' })
          expect((error as Problem).message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
          expect((error as Problem).message.length).toBeLessThan(400)
        }
      }),
      { numRuns: 1000 },
    )
  })

  test.each([
    ['', 'client'],
    ['/iris', 'client'],
    ['a+b/iris', 'client'],
    ['a\u0007b/iris', 'client'],
    ['cam7', 'model'],
    ['cam7//infer', 'model'],
    ['cam7/iris/', 'operation'],
  ])('"%s" is rejected, and the message names the %s level', (rest, level) => {
    expect(() => topics.parseRequest(`plant/infer/request/${rest}`)).toThrow(`The ${level} level`)
  })
})

test.each([
  ['infer/request/#', 'infer/request', true],
  ['infer/request/#', 'infer/request/a/b', true],
  ['infer/request/#', 'infer/requests', false],
  ['a/+/c', 'a/b/c', true],
  ['a/+/c', 'a//c', true],
  ['a/+', 'a/b/c', false],
  ['a/+', 'a', false],
  ['a/b', 'a/b', true],
  ['#', '$SYS/a', false],
  ['+/a', '$SYS/a', false],
  ['$SYS/#', '$SYS/a', true],
])('filter %s matches topic %s: %s', (filter, topic, isMatch) => {
  expect(matchesFilter(filter, topic)).toBe(isMatch)
})

test('the request filter of a model matches only requests for that model', () => {
  const matches = (topic: string): boolean => matchesFilter(topics.modelFilter('iris'), topic)
  const names = ['iris', 'iris@2', 'iris2', 'digits']
  expect(names.filter((name) => matches(topics.request('cam7', name, 'infer', 'a/b')))).toEqual(['iris'])
  expect(matches(topics.request('cam7', 'iris'))).toBe(true)
  expect(names.map((name) => topics.requestedModel(topics.request('cam7', name)))).toEqual(names)
  expect(topics.requestedModel('plant/infer/request/cam7/iris/infer/1')).toBe('iris')
  expect(topics.requestedModel('plant/infer/request/cam7')).toBeUndefined()
  expect(topics.requestedModel('plant/infer/reply/cam7/iris')).toBeUndefined()
})

test('a request topic has an id if a level follows its operation', () => {
  const topics = new TopicSpace('plant/infer')
  expect(topics.hasRequestId(topics.request('cam7', 'iris', 'infer', '1'))).toBe(true)
  expect(topics.hasRequestId(topics.request('cam7', 'iris', 'infer'))).toBe(false)
  expect(topics.hasRequestId('plant/infer/reply/cam7/iris/infer/1')).toBe(false)
})

test('the owner of a status topic is a valid level', () => {
  const topics = new TopicSpace('plant/infer')
  expect(topics.statusOwner('plant/infer/status/edge-1')).toBe('edge-1')
  const unclean = ['', 'a/b', 'a\u001b[2J', 'a\u0085', 'a+', '#', 'a'.repeat(256)]
  for (const level of unclean) expect(topics.statusOwner(`plant/infer/status/${level}`)).toBeUndefined()
  expect(topics.statusOwner('infer/status/edge-1')).toBeUndefined()
})

describe('a reply topic', () => {
  test('derived from any topic is inside the subtree of the client', () => {
    fc.assert(
      fc.property(hostileTopic, (rest) => {
        const reply = topics.replyTopicOf(`plant/infer/request/${rest}`)
        if (reply === undefined) return
        const client = rest.split('/')[0]!
        expect(isPublishable(reply)).toBe(true)
        expect(isCleanLevel(client)).toBe(true)
        expect(`${reply}/`.startsWith(`plant/infer/reply/${client}/`)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test('is not derived from a topic without a client', () => {
    const none = [
      '',
      '/iris',
      '+/iris',
      'a\0/iris',
      'cam7/+',
      'cam7/#',
      `cam7/${'a'.repeat(TOPIC_LENGTH_MAX)}`,
    ]
    for (const rest of none) expect(topics.replyTopicOf(`plant/infer/request/${rest}`)).toBeUndefined()
    expect(topics.replyTopicOf('elsewhere')).toBeUndefined()
  })

  test("belongs to the client if and only if it is a topic name strictly inside the client's reply subtree", () => {
    const anyTopic = fc.oneof(
      hostileTopic,
      hostileTopic.map((rest) => `plant/infer/reply/${rest}`),
      hostileTopic.map((rest) => `plant/infer/reply/cam7/${rest}`),
    )
    fc.assert(
      fc.property(anyTopic, (topic) => {
        const inside = /^plant\/infer\/reply\/cam7\/[^+#\u0000-\u001f\u007f-\u009f]+$/.test(topic)
        const isOwn = inside && !/\p{Surrogate}/u.test(topic) && topic.length <= TOPIC_LENGTH_MAX
        expect(topics.isOwnReplyTopic('cam7', topic)).toBe(isOwn)
      }),
      { numRuns: 2000 },
    )
  })

  test.each([
    'plant/infer/reply/cam7',
    'plant/infer/reply/cam7/',
    'plant/infer/reply/cam7x/a',
    'plant/infer/reply/cam/a',
    'plant/infer/reply/cam7/+',
    'plant/infer/reply/cam7/#',
    'plant/infer/request/cam7/iris',
    'infer/reply/cam7/a',
    '$SYS/broker/load',
    '$share/g/plant/infer/reply/cam7/a',
    '/plant/infer/reply/cam7/a',
    '',
  ])('"%s" does not belong to the client', (topic) => {
    expect(topics.isOwnReplyTopic('cam7', topic)).toBe(false)
  })
})

test('accepts only model names that have no special meaning in a path', () => {
  for (const name of ['iris', 'Iris_2', 'iris.team-a', 'iris@3', 'iris.team-a@2024.1', 'a'.repeat(253)]) {
    expect(isModelName(name)).toBe(true)
  }
  fc.assert(
    fc.property(fc.oneof(hostileLevel, fc.string({ unit: 'grapheme' })), (name) => {
      if (isModelName(name)) expect(name).toMatch(/^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9_.@-]*$/)
    }),
    { numRuns: 1000 },
  )
  for (const name of [
    '',
    '.',
    '..',
    'a..b',
    '-a',
    'a-',
    'a/b',
    'a%2fb',
    'a\\b',
    'a?b',
    'a:b',
    '@1',
    'a@',
    'a@1@2',
  ]) {
    expect(isModelName(name)).toBe(false)
  }
  expect(isModelName('iris\n')).toBe(false)
  expect(isModelName('a'.repeat(254))).toBe(false)
})

test.each(['', '$SYS', 'a//b', '/a', 'a/', 'a/+', '#', 'a\0'])('%j cannot be a root', (root) => {
  expect(() => new TopicSpace(root)).toThrow('is not a topic name')
})

const levels = (count: number): string => 'plant/infer/reply/cam7'.padEnd(22 + 2 * (count - 4), '/a')

test('a topic with more than 128 levels is not publishable, because Mosquitto would disconnect its publisher', () => {
  expect(levels(128).split('/')).toHaveLength(128)
  expect([isPublishable(levels(128)), isPublishable(levels(129))]).toEqual([true, false])
  expect(topics.isOwnReplyTopic('cam7', levels(129))).toBe(false)
  expect(isPublishable('/'.repeat(128))).toBe(false)
  expect(topics.replyTopicOf(`plant/infer/request/cam7/iris/infer${'/'.repeat(200)}`)).toBeUndefined()
})
