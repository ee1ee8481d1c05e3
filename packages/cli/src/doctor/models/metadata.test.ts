import { REFUSALS } from '@inferwire/connector'
import { Problem } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { judgeModelProblem } from './metadata.ts'

const MODEL = { url: 'http://iris-predictor.alice.svc', host: undefined, modelName: undefined }
const NOT_READY = new Problem('model_not_ready', 'not there', { detail: '404 on http://m/v2' })

test.each([
  [
    'a list with a similar name',
    {},
    NOT_READY,
    ['digits', 'iriss'],
    /no model "iris"; its models are: digits, iriss/,
    /modelName: iriss$/,
  ],
  ['a list with one other name', {}, NOT_READY, ['x'], /no model "iris"/, /modelName: x$/],
  [
    'a configured name',
    { modelName: 'flower' },
    NOT_READY,
    ['a', 'b'],
    /no model "flower"/,
    /modelName: to one of them$/,
  ],
  [
    'a list that contains the model',
    {},
    NOT_READY,
    ['iris'],
    /not there \(404 on/,
    /Wait until the model is loaded/,
  ],
  ['no list', {}, NOT_READY, [], /not there/, /modelName/],
  [
    'an unreachable server',
    {},
    new Problem('upstream_unreachable', 'gone'),
    [],
    /gone/,
    /Check models\.iris\.url/,
  ],
  ['a refusal', {}, new Problem('unauthorized_upstream', 'no'), [], /no/, /models\.iris\.credential/],
  ['any other problem', {}, new Problem('deadline_exceeded', 'late'), [], /late/, /more time/],
])('%s', (_name, model, problem, names, message, remedy) => {
  const finding = judgeModelProblem('iris', { ...MODEL, ...model }, problem, names)
  expect(finding).toMatchObject({ state: 'fault' })
  expect(finding.message).toMatch(message)
  expect(finding.remedy).toMatch(remedy)
})

test('removes terminal control characters from the names that a server sends', () => {
  const finding = judgeModelProblem('iris', MODEL, NOT_READY, ['\u001b[2J'])
  expect(`${finding.message}${finding.remedy}`).not.toContain('\u001b')
})

test.each(Object.entries(REFUSALS))(
  'the refusal %s of a gateway: prints its remedy for this model',
  (name, kind) => {
    const { code, sentence, remedy } = kind
    const problem = new Problem(code, sentence, { detail: 'GET http://m', refusal: { name, remedy } })
    const finding = judgeModelProblem('iris', MODEL, problem, [])
    expect(finding).toMatchObject({ state: 'fault', message: `Model "iris": ${sentence} (GET http://m)` })
    expect(finding.remedy).toContain(remedy.replaceAll('models.*', 'models.iris'))
    expect(finding.remedy!.includes('inferwire doctor -c FILE -n alice')).toBe(name.endsWith('_denied'))
  },
)
