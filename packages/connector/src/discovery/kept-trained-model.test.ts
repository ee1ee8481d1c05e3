import { expect, test } from 'vitest'
import { keptTrainedModel } from './kept-trained-model.ts'
import { mapObject } from './map-object.ts'
import { extra, FAILED_LOAD, READY_TRAINED_MODEL } from './testing/recorded-objects.ts'
import { rules } from './testing/rules.ts'

const RULES = rules({ kinds: ['InferenceService', 'TrainedModel'] })

test.each([
  ['a ready', READY_TRAINED_MODEL],
  ['a failed', FAILED_LOAD],
  ['a new', undefined],
])('%s TrainedModel maps to the same model afterwards', (_, status) => {
  const object = extra(status)
  const kept = keptTrainedModel(object)
  expect(mapObject('TrainedModel', kept, RULES)).toEqual(mapObject('TrainedModel', object, RULES))
})

test('the annotations and the deletion are kept', () => {
  for (const changes of [
    {
      annotations: {
        'inferwire.io/expose': 'true',
        'inferwire.io/model': 'm',
        'inferwire.io/timeout-ms': '5',
      },
    },
    { annotations: {}, labels: { 'inferwire.io/expose': 'maybe' } },
    { annotations: { 'inferwire.io/expose': 'true', 'serving.kserve.io/stop': 'true' } },
    { annotations: { 'inferwire.io/expose': 'true' }, deletionTimestamp: '2026-01-01T00:00:00Z' },
  ]) {
    const object = { ...extra(), metadata: { name: 'extra', namespace: 'models', ...changes } }
    const kept = keptTrainedModel(object)
    expect(mapObject('TrainedModel', kept, RULES)).toEqual(mapObject('TrainedModel', object, RULES))
  }
})

test('a huge TrainedModel stays small', () => {
  const text = 'x'.repeat(500_000)
  const conditions = Array.from({ length: 200 }, (_, index) => ({
    type: `T${index}`,
    status: 'True',
    message: text,
  }))
  const object = {
    ...extra({ conditions: [...conditions, { type: 'Ready', status: 'False', message: text }], url: text }),
    spec: { inferenceService: 'iris', model: { storageUri: text } },
  }
  expect(JSON.stringify(keptTrainedModel(object)).length).toBeLessThan(30_000)
})
