// All checks, in the order in which they run; a check may need only checks above it.
import { accessAnnouncements } from './access/announcements.ts'
import { accessAnonymous } from './access/anonymous.ts'
import { accessRoundTrips } from './access/round-trips.ts'
import { accessStrangers } from './access/strangers.ts'
import { brokerAddress } from './broker/address.ts'
import { brokerLimits } from './broker/limits.ts'
import { brokerClientLogin, brokerLogin } from './broker/login.ts'
import { brokerPort } from './broker/port.ts'
import { brokerProtocol } from './broker/protocol.ts'
import { brokerSession } from './broker/session.ts'
import { brokerTls } from './broker/tls.ts'
import { brokerVersion } from './broker/version.ts'
import type { Check } from './check.ts'
import { clusterAccess, clusterKserve } from './cluster/access.ts'
import { clusterMesh } from './cluster/mesh.ts'
import { clusterAuthorization, clusterNetwork } from './cluster/policies.ts'
import { clusterRights } from './cluster/rights.ts'
import { clusterAddresses, clusterModels } from './cluster/services.ts'
import { configurationFile } from './configuration/file.ts'
import { configurationWarnings } from './configuration/warnings.ts'
import { connectorAnswer } from './connector/answer.ts'
import { connectorCards } from './connector/cards.ts'
import { connectorModels, connectorReplicas, connectorStatus } from './connector/status.ts'
import { modelsMetadata } from './models/metadata.ts'
import { modelsSample } from './models/sample.ts'
import { relayIdle } from './relay/idle.ts'
import { relayChecks } from './relay/relay.ts'

/** The checks. */
export const CHECKS: readonly Check[] = [
  configurationFile,
  configurationWarnings,
  brokerAddress,
  brokerPort,
  brokerTls,
  brokerProtocol,
  brokerLogin,
  brokerClientLogin,
  brokerVersion,
  ...brokerLimits,
  brokerSession,
  accessAnonymous,
  ...accessRoundTrips,
  ...accessAnnouncements,
  ...accessStrangers,
  ...relayChecks,
  relayIdle,
  connectorStatus,
  connectorReplicas,
  connectorModels,
  connectorCards,
  connectorAnswer,
  modelsMetadata,
  modelsSample,
  clusterAccess,
  clusterKserve,
  clusterModels,
  clusterAddresses,
  clusterRights,
  clusterMesh,
  clusterAuthorization,
  clusterNetwork,
]
