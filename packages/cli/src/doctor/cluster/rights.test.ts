// Tests whose rights are checked where, and what is not checked for lack of a right.
import { loadConfig, KubeError, type ConfigInput } from '@inferwire/connector'
import { expect, test } from 'vitest'
import { ok } from '../check.ts'
import { unreadable } from './access.ts'
import { namespacesOf } from './open-cluster.ts'
import { judgeRights, neededRights } from './rights.ts'
import { withUnreadable } from './services.ts'

const ACCOUNT = { account: { namespace: 'inferwire', name: 'inferwire' } }

function configOf(discovery: ConfigInput['discovery'], urls: readonly string[] = []) {
  const models = Object.fromEntries(urls.map((url, index) => [`m${index}`, { url }]))
  return loadConfig({ env: {}, flags: { broker: { url: 'mqtt://127.0.0.1' }, discovery, models } })
}

const IN_SOUND = ['http://iris-predictor.sound.svc']

test.each([
  ['discovery', { enabled: true, namespaces: ['vision'] }, [], ['vision']],
  ['discovery and a model', { enabled: true, namespaces: ['vision'] }, IN_SOUND, ['vision', 'sound']],
  ['discovery that is disabled', { enabled: false, namespaces: ['vision'] }, IN_SOUND, ['sound']],
  ['discovery in all namespaces', { enabled: true, namespaces: ['*'] }, [], ['own']],
  ['nothing', {}, [], ['own']],
])('the namespaces of a configuration with %s', (_name, discovery, urls, namespaces) => {
  const config = { value: configOf(discovery, urls) }
  expect(namespacesOf({ config }, undefined, 'own')).toEqual(namespaces)
  expect(namespacesOf({ config }, 'given', 'own')).toEqual(['given'])
})

test.each([
  ['disabled', { enabled: false, namespaces: ['vision'] }, []],
  ['in a listed namespace', { enabled: true, namespaces: ['vision'] }, ['vision']],
  ['in all namespaces', { enabled: true, namespaces: ['*'] }, ['']],
  ['with a selector', { enabled: true, namespaceSelector: 'a=b' }, ['']],
])('discovery %s needs rights in the namespaces %s', (_name, discovery, namespaces) => {
  const needed = neededRights(configOf(discovery), ['vision', 'other'])
  expect(needed.map(({ namespace }) => namespace)).toEqual(namespaces)
})

test('prints commands that grant the missing rights, in the namespace that lacks them', () => {
  const needed = neededRights(configOf({ enabled: true, namespaces: ['vision'] }), ['vision'])
  const [finding] = judgeRights(ACCOUNT, needed, [])
  expect(finding).toMatchObject({
    state: 'fault',
    message: expect.stringContaining('may not get inferenceservices, list inferenceservices') as string,
  })
  expect(finding!.remedy).toContain(
    'kubectl create role inferwire -n vision --verb=get,list,watch --resource=inferenceservices.serving.kserve.io\n',
  )
  expect(finding!.remedy).toContain('--serviceaccount=inferwire:inferwire')
})

test('prints a ClusterRole for discovery with a selector', () => {
  const needed = neededRights(configOf({ enabled: true, namespaceSelector: 'a=b' }), ['vision'])
  const [finding] = judgeRights(ACCOUNT, needed, [])
  expect(finding!.remedy).toContain(
    'kubectl create clusterrole inferwire --verb=get,list,watch --resource=inferenceservices.serving.kserve.io,namespaces\n',
  )
  expect(finding!.remedy).toContain('kubectl create clusterrolebinding inferwire --clusterrole=inferwire')
})

test('warns of rights that the connector does not need', () => {
  const secrets = { namespace: 'vision', rights: [{ verb: 'get', group: '', resource: 'secrets' }] }
  expect(judgeRights(ACCOUNT, [], [secrets])).toMatchObject([
    { state: 'warning', message: expect.stringContaining('in vision than it needs: get secrets') as string },
  ])
  expect(judgeRights(ACCOUNT, [], [])).toMatchObject([{ state: 'ok' }])
})

test('namespaces that this user may not read are not checked, and are no fault of the models', () => {
  const found = [ok('1 of 1 InferenceServices in vision are ready.')]
  expect(withUnreadable(found, [])).toEqual(found)
  expect(withUnreadable(found, ['sound'])).toMatchObject([{ state: 'ok' }, { state: 'warning' }])
  expect(withUnreadable([], ['sound'])).toMatchObject({ state: 'skipped' })
})

test.each([
  [403, 'skipped', /may not read pods/],
  [404, 'skipped', /does not exist.*"gone"/],
  [500, 'fault', /pods/],
])('an object that is answered with %s: %s', (status, state, message) => {
  const error = new KubeError('namespaces "gone" not found', { status, reason: 'r', remedy: 'Do this.' })
  const outcome = unreadable(error, 'pods')
  expect(outcome).toMatchObject({ state, message: expect.stringMatching(message) as string })
})
