import { TopicSpace } from '@inferwire/protocol'
import { describe, expect, test } from 'vitest'
import { explainTopic } from './explain-topic.ts'
import { formatExplanation } from './format-explanation.ts'

const topics = new TopicSpace('infer')
const models = {
  iris: { url: 'http://127.0.0.1:8080/', protocolVersion: 'v1' as const, versions: ['2'] },
  digits: { url: 'http://digits.models.svc', protocolVersion: 'v2' as const, modelName: 'mnist' },
}

describe('a request topic', () => {
  test('is split into its levels, and its reply topic is shown', () => {
    const explanation = explainTopic('infer/request/cam7/iris/predict/a/b', topics)
    expect(explanation).toMatchObject({
      kind: 'request',
      client: 'cam7',
      model: 'iris',
      operation: 'predict',
      id: 'a/b',
      reply_topic: 'infer/reply/cam7/iris/predict/a/b',
      mistakes: [],
    })
  })

  test('is explained with the method and URL of the model call if a configuration is given', () => {
    expect(explainTopic('infer/request/c/iris/predict', topics, models).upstream).toBe(
      'POST http://127.0.0.1:8080/v1/models/iris:predict',
    )
    expect(explainTopic('infer/request/c/digits', topics, models).upstream).toBe(
      'POST http://digits.models.svc/v2/models/mnist/infer',
    )
    expect(explainTopic('infer/request/c/iris@2/infer', topics, models).upstream).toBe(
      'POST http://127.0.0.1:8080/v2/models/iris/versions/2/infer',
    )
  })

  test.each([
    ['infer/request/c/irs/predict', /Did you mean "iris"/],
    ['infer/request/c/iris@3', /does not expose "iris@3"/],
    ['infer/request/c/iris/infer', /uses v1, which has no operation "infer"/],
    ['infer/request/c/iris/predct', /Did you mean "predict"/],
    ['infer/request/c/../predict', /cannot be the name of a model/],
    ['infer/request//iris', /client level/],
    ['infer/request/c', /model level/],
    ['infer/request/c/iris//x', /operation level/],
  ])('gets an explanation of its mistake: %s', (topic, mistake) => {
    expect(explainTopic(topic, topics, models).mistakes.join('\n')).toMatch(mistake)
  })
})

test.each([
  ['infer/reply/c/iris/predict', 'reply', 'infer/request/c/iris/predict'],
  ['infer/cancel/c/iris/predict/7', 'cancel', 'infer/request/c/iris/predict/7'],
])('%s has kind %s and request topic %s', (topic, kind, request) => {
  expect(explainTopic(topic, topics)).toMatchObject({ kind, request_topic: request, mistakes: [] })
})

test('explains the topics of model cards and connector statuses', () => {
  expect(explainTopic('infer/models/iris', topics)).toMatchObject({
    kind: 'model card',
    model: 'iris',
    mistakes: [],
  })
  expect(explainTopic('infer/status/edge-1', topics)).toMatchObject({ kind: 'status', connector: 'edge-1' })
  expect(explainTopic('infer/status/a/b', topics).mistakes).toHaveLength(1)
})

test.each([
  ['infer/request/+/iris', 'filter', /filter/],
  ['$share/g/infer/request/#', 'filter', /filter/],
  ['infer/reqest/c/iris', 'unknown', /Did you mean "request"/],
  ['/infer/request/c/iris', 'unknown', /leading "\/"/],
  ['plant/infer/request/c/iris', 'unknown', /--root/],
  ['', 'unknown', /empty/],
])('"%s" has kind %s and a mistake that matches %s', (topic, kind, mistake) => {
  const explanation = explainTopic(topic, topics)
  expect(explanation.kind).toBe(kind)
  expect(explanation.mistakes.join('\n')).toMatch(mistake)
})

test('supports a root of several levels', () => {
  expect(explainTopic('plant/infer/request/c/iris', new TopicSpace('plant/infer'))).toMatchObject({
    kind: 'request',
    reply_topic: 'plant/infer/reply/c/iris',
  })
})

test('removes terminal control characters from the printed explanation', () => {
  const text = formatExplanation(explainTopic('infer/request/c\u001b[2J/iris', topics))
  expect(text).not.toContain('\u001b')
})
