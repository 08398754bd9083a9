// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/resource.hpp"

#include <sys/utsname.h>

#include <filesystem>
#include <fstream>

#include "agent/drain/segment_drain.hpp"
#include "tests/agent/decode/decode_fixture.hpp"
#include "tests/agent/discover/segment_file.hpp"

namespace tailrace::agent::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kContainer(64, 'c');

// A file system as a process on another host would have it.
class ResourceTest : public DecoderTest {
 protected:
  void file(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_.in(path);
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole, std::ios::binary) << text;
  }
  void process(const std::string& name, const std::string& cgroup = "0::/\n") {
    file("proc/stat", "cpu 1 2 3\nbtime 1700000000\nprocesses 5\n");
    file("proc/4711/stat", "4711 (" + name + ") S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 12345 20 21\n");
    file("proc/4711/comm", name + "\n");
    file("proc/4711/cgroup", cgroup);
    file("etc/passwd", "root:x:0:0::/root:/bin/sh\neve:x:1000:1000::/home/eve:/bin/sh\n");
  }
  // The resource of an application that says `app`.
  std::string resource(const Items& app, const ProcessFacts& facts, const HostFacts& host = {}) {
    const ProcessResource made(decoder_.decode_blob(shm::test::bytes_of(app.blob())), uuid_, facts, host);
    service_ = made.service();
    instance_ = made.instance();
    return show(made.view().attributes);
  }

  TemporaryDirectory root_;
  Uuid uuid_{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4d, 0xef, 0x80, 1, 2, 3, 4, 5, 6, 7};
  std::string service_;
  std::string instance_;
};

TEST_F(ResourceTest, TheKernelsFactsAreRead) {
  process("che ckout) 7", "0::/system.slice/docker-" + kContainer + ".scope\n");
  const ProcessFacts facts = ProcessFacts::read(4711, 1000, root_.path());
  EXPECT_EQ(facts.pid, 4711);
  EXPECT_EQ(facts.executable, "che ckout) 7");
  EXPECT_EQ(facts.owner, "eve");
  EXPECT_EQ(facts.start_ticks, 12345u);
  EXPECT_EQ(facts.creation_time, "2023-11-14T22:15:23.450Z");
  EXPECT_EQ(facts.container_id, kContainer);
}

TEST_F(ResourceTest, AProcessThatIsGoneHasAnOwnerAndNothingElse) {
  process("x");
  const ProcessFacts facts = ProcessFacts::read(4712, 1001, root_.path());
  EXPECT_EQ(facts.pid, 0);
  EXPECT_EQ(facts.owner, "1001");
  EXPECT_TRUE(facts.creation_time.empty());
}

TEST_F(ResourceTest, WhatTheAgentKnowsTheApplicationCannotSet) {
  process("checkout");
  const ProcessFacts facts = ProcessFacts::read(4711, 1000, root_.path());
  const std::string text = resource(Items()
                                        .string("service.name", "shop")
                                        .integer("process.pid", 1)
                                        .string("process.owner", "root")
                                        .string("container.id", "fake")
                                        .string("host.name", "fake")
                                        .string("host.anything", "fake")
                                        .string("os.type", "fake")
                                        .string("deployment.environment.name", "test"),
                                    facts, {"real-host", "amd64", "machine"});
  EXPECT_THAT(text, Not(HasSubstr("fake")));
  for (const char* wanted :
       {"service.name='shop'", "deployment.environment.name='test'", "process.pid=4711", "process.owner='eve'",
        "process.executable.name='checkout'", "process.creation.time='2023-11-14T22:15:23.450Z'",
        "host.name='real-host'", "host.arch='amd64'", "host.id='machine'", "os.type='linux'"}) {
    EXPECT_THAT(text, HasSubstr(wanted));
  }
  EXPECT_EQ(text.find("process.pid"), text.rfind("process.pid"));
  EXPECT_THAT(text, Not(HasSubstr("container.id")));
  EXPECT_EQ(service_, "shop");
}

TEST_F(ResourceTest, AServiceWithoutANameIsCalledAfterItsProgram) {
  process("checkout");
  EXPECT_THAT(resource({}, ProcessFacts::read(4711, 0, root_.path())),
              HasSubstr("service.name='unknown_service:checkout'"));
  EXPECT_THAT(resource(Items().string("process.executable.name", "long-name-of-the-program"), {}),
              HasSubstr("service.name='unknown_service:long-name-of-the-program'"));
  resource(Items().string("service.name", ""), {});
  EXPECT_EQ(service_, "unknown_service");
}

TEST_F(ResourceTest, TheSegmentsUuidIsTheInstanceUnlessTheApplicationHasOne) {
  resource({}, {});
  EXPECT_EQ(instance_, "12345678-9abc-4def-8001-020304050607");
  resource(Items().string("service.instance.id", "mine"), {});
  EXPECT_EQ(instance_, "mine");
}

TEST_F(ResourceTest, TheSdkIsAlwaysNamed) {
  const std::string text = resource(Items().string("telemetry.sdk.language", "go"), {});
  EXPECT_THAT(text, HasSubstr("telemetry.sdk.language='go'"));
  EXPECT_THAT(text, HasSubstr("telemetry.sdk.name='tailrace'"));
  EXPECT_THAT(text, HasSubstr("telemetry.sdk.version='"));
}

TEST_F(ResourceTest, ABlobThatDoesNotHoldTogetherLeavesTheAgentsFacts) {
  const Blob broken(20, 0xFF);
  const ProcessResource made(decoder_.decode_blob(shm::test::bytes_of(broken)), uuid_, {}, {"h", "", ""});
  EXPECT_THAT(show(made.view().attributes), HasSubstr("host.name='h'"));
}

TEST_F(ResourceTest, TheHostIsReadOnceAndHasNoIdInsideAContainer) {
  file("etc/machine-id", "0123456789abcdef\n");
  EXPECT_EQ(HostFacts::read(root_.path()).id, "0123456789abcdef");
  utsname system{};
  ASSERT_EQ(::uname(&system), 0);
  EXPECT_EQ(HostFacts::read(root_.path()).name, system.nodename);
  EXPECT_FALSE(HostFacts::read(root_.path()).arch.empty());
  file(".dockerenv", "");
  EXPECT_EQ(HostFacts::read(root_.path()).id, "");
}

TEST_F(ResourceTest, TheMachineIdOfDbusIsTheSecondChoice) {
  file("var/lib/dbus/machine-id", "dbus\n");
  EXPECT_EQ(HostFacts::read(root_.path()).id, "dbus");
}

TEST(ContainerIdTest, IsFoundInEveryFormOfCgroup) {
  EXPECT_EQ(container_id_of("0::/system.slice/docker-" + kContainer + ".scope\n"), kContainer);
  EXPECT_EQ(container_id_of("12:cpu:/docker/" + kContainer + "\n0::/\n"), kContainer);
  EXPECT_EQ(container_id_of("0::/kubepods.slice/kubepods-pod" + std::string(64, 'a') + ".slice/cri-containerd-" +
                            kContainer + ".scope"),
            kContainer);
  EXPECT_EQ(container_id_of("0::/user.slice/user-1000.slice/session-2.scope\n"), "");
  EXPECT_EQ(container_id_of("0::/" + std::string(65, 'a')), "");
  EXPECT_EQ(container_id_of(""), "");
}

// The pid comes from the lock, whatever the segment says, and this process holds it.
TEST_F(ResourceTest, ASegmentsResourceNamesTheHolderOfItsLock) {
  const TemporaryDirectory temporary;
  const std::unique_ptr<Directory> directory = open_directory(temporary.path());
  SegmentFile file(temporary.in(segment_name(1)));
  file->resource(Items().string("service.name", "shop").integer("process.pid", 4242));
  const std::unique_ptr<AttachedSegment> segment = attach(*directory, segment_name(1));
  SegmentDecoder decoder(segment->geometry());
  const SegmentDrain drain(*segment, decoder);
  const ProcessResource made = read_resource(*segment, decoder, HostFacts::read());
  EXPECT_EQ(made.service(), "shop");
  EXPECT_EQ(made.instance(), "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
  const std::string text = show(made.view().attributes);
  EXPECT_THAT(text, HasSubstr("process.pid=" + std::to_string(::getpid()) + ","));
  EXPECT_FALSE(segment->dead());

  file.die();
  EXPECT_THAT(show(read_resource(*segment, decoder, {}).view().attributes), Not(HasSubstr("process.pid")));
}

}  // namespace
}  // namespace tailrace::agent::test
